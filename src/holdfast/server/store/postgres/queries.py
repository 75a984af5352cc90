"""The named queries of PostgreSQL, and literals for statements that are sent as text.

Statements are text with their values in it, sent by the simple protocol: one round trip, and no prepared statement,
which a pooler in transaction mode would lose (docs/adr/0027).
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

import msgspec

from holdfast.server.store.sql.queries import read_queries

_PACKAGE: Final = "holdfast.server.store.postgres"
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_encode = msgspec.json.encode


def named(statement: str) -> str:
    """A statement by its name, `<file>.<section>`."""
    file, _, section = statement.partition(".")
    return read_queries(_PACKAGE, file)[section]


def literal(value: Any) -> str:
    """Return a value as a literal of its JSON. U+0000, which texts in PostgreSQL can't hold, becomes U+FFFD."""
    text = _encode(value).decode()
    if "\\u0000" in text:
        text = _NUL.sub(r"\1\\ufffd", text)
    tag = "$j$"
    while tag in text:
        tag = f"$j{secrets.token_hex(8)}$"
    return f"{tag}{text}{tag}"


def is_schema_name(name: str) -> bool:
    """Whether a name may be a schema's: lower-case letters, digits and underscores, so that it needs no quotes."""
    return _NAME.fullmatch(name) is not None and not name.startswith("pg_")


def plain(value: str) -> str:
    """Return a text as PostgreSQL can hold it."""
    return value.replace("\0", "\ufffd") if "\0" in value else value
