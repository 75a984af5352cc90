"""Reading of path and query parameters of the REST APIs."""

from __future__ import annotations

import re
import uuid
from typing import Final

from holdfast.protocol.dates import parse_date
from holdfast.protocol.ids import is_ulid

#: What a column of SQLite holds in any case.
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


def read_int(text: str) -> int | None:
    """A whole number of at most 18 digits; None for a text that is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def read_ulid(text: str) -> str | None:
    """A ULID in upper case, None for a text that is none."""
    return text.upper() if is_ulid(text) else None


def read_uuid(text: str) -> str | None:
    """A UUID in lower case, None for a text that is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def read_time(text: str) -> int | None:
    """A date in any common form, as ms since the epoch; None for a text that is none."""
    try:
        return parse_date(text)
    except ValueError:
        return None
