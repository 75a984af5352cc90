"""The named queries of PostgreSQL, and literals for statements that are sent as text.

Statements are text with their values in it, sent by the simple protocol: one round trip, and no prepared statement,
which a pooler in transaction mode would lose (docs/adr/0027).
"""

from __future__ import annotations

import itertools
import re
import secrets
from functools import lru_cache
from typing import Any, Final

import msgspec

from holdfast.server.store.sql.queries import read_queries

_PACKAGE: Final = "holdfast.server.store.postgres"
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_TABLE: Final = re.compile(r"\b(FROM|JOIN) (runs|run_totals|deferred_runs|debug_runs|events|event_totals)\b", re.ASCII)
_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]+)\b")
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


@lru_cache(maxsize=2_048)
def translate(text: str, schema: str) -> tuple[str, tuple[str, ...]]:
    """Return a query as PostgreSQL takes it, and the names of its parameters in order; none if they go by place.

    Tables of queries that are made for all databases get their schema, `?` and `:name` become `$1` and so on.
    """
    text = _TABLE.sub(rf"\1 {schema}.\2", text.replace("{schema}", schema))
    names: dict[str, str] = {}
    text = _PARAMETER.sub(lambda found: names.setdefault(found[1], f"${len(names) + 1}"), text)
    if not names:
        numbers = itertools.count(1)
        text = re.sub(r"\?", lambda _: f"${next(numbers)}", text)
    return text, tuple(names)


def is_schema_name(name: str) -> bool:
    """Whether a name may be a schema's: lower-case letters, digits and underscores, so that it needs no quotes."""
    return _NAME.fullmatch(name) is not None and not name.startswith("pg_")


def plain(value: str) -> str:
    """Return a text as PostgreSQL can hold it."""
    return value.replace("\0", "\ufffd") if "\0" in value else value
