"""From a request of another service to events: a CEL expression over `body`, `headers`, `query` and `raw`.

`body` is the JSON of the request, or the fields of a form; `headers` have names in lower case; `query` has the
parameters of the URL; `raw` is the body as text. The value is an event (a map with `name` and `data`), or a list of
events.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl

import msgspec

from holdfast.protocol.limits import MIB
from holdfast.server.expressions import MISSING, ExpressionError, Scoped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.server.expressions import Value

VARIABLES: Final = frozenset({"body", "headers", "query", "raw"})
RESPONSE_VARIABLES: Final = VARIABLES | {"ids"}
_MAX_EVENTS: Final = 100
#: Characters of what an expression makes, about. One that repeats its input makes gigabytes of a small request.
_MAX_MADE: Final = 16 * MIB
_JAVASCRIPT: Final = re.compile(
    r"^\s*(?:export\s|async\s|function\b|(?:const|let|var)\s|\(?[\w\s,{}]*\)?\s*=>)|\breturn\b.*;"
)
_EXAMPLE: Final = '{"name": "github/" + headers["x-github-event"], "data": body}'
_FORM: Final = "application/x-www-form-urlencoded"


class TransformError(ValueError):
    """An expression or its value can't be used; the text says why and how to mend it."""


class HookRequest(msgspec.Struct, frozen=True):
    """What came: header names in lower case, `query` and headers with the last of repeated ones."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]

    def variables(self) -> dict[str, Value]:
        """Return what the expressions see."""
        raw = self.body.decode("utf-8", "replace")
        return {
            "body": _parsed(raw, self.headers.get("content-type", "")),
            "headers": cast("Value", dict(self.headers)),
            "query": cast("Value", dict(self.query)),
            "raw": raw,
        }


def check_transform(text: str) -> None:
    """Raise TransformError for a transform that can't be used."""
    if _JAVASCRIPT.search(text):
        raise TransformError(
            "Transform is JavaScript, which this server does not run. Write it as one CEL expression over body,"
            f" headers, query and raw whose value is the event, such as {_EXAMPLE}"
        )
    _compiled(text, VARIABLES)


def check_response(text: str) -> None:
    """Raise TransformError for a response that can't be used."""
    _compiled(text, RESPONSE_VARIABLES)


def events_of(transform: str, request: HookRequest, now_ms: int) -> list[bytes]:
    """Return the events that a request means, as JSON. Raises TransformError."""
    value = _evaluated(transform, VARIABLES, request.variables(), now_ms)
    found = value if isinstance(value, list) else [value]
    if len(found) > _MAX_EVENTS:
        raise TransformError(f"The transform returned {len(found)} events for one request; the limit is {_MAX_EVENTS}")
    for event in found:
        if not isinstance(event, dict) or not isinstance(event.get("name"), str) or not event["name"]:
            raise TransformError(
                f"The transform's result is not an event: it must be a map with a name, such as {_EXAMPLE}"
            )
    _measure(found)
    return [_json(event) for event in found]


def response_of(response: str, request: HookRequest, ids: list[str], now_ms: int) -> tuple[bytes, str]:
    """Return the answer that a webhook gives, and its content type: a text as it is, anything else as JSON."""
    variables = request.variables() | {"ids": cast("Value", ids)}
    value = _evaluated(response, RESPONSE_VARIABLES, variables, now_ms)
    if isinstance(value, str):
        return value.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    _measure(value)
    return _json(None if value is MISSING else value), "application/json"


@lru_cache(256)
def _compiled(text: str, names: frozenset[str]) -> Scoped:
    try:
        return Scoped(text, names)
    except ExpressionError as error:
        raise TransformError(f"{error}; there are {', '.join(sorted(names))}") from None


def _evaluated(text: str, names: frozenset[str], variables: Mapping[str, Value], now_ms: int) -> Value:
    try:
        return _compiled(text, names).evaluate(variables, now_ms)
    except ExpressionError as error:
        raise TransformError(f"The expression failed for this request: {error}") from None


def _parsed(raw: str, content_type: str) -> Value:
    """Return a body as a value. Whole numbers stay whole: ids are larger than a double holds."""
    form = content_type.partition(";")[0].strip().lower() == _FORM
    if form and not raw.lstrip().startswith(("{", "[")):  # JSON that curl calls a form: a form has %7B there
        return cast("Value", dict(parse_qsl(raw, keep_blank_values=True)))
    try:
        return cast("Value", json.loads(raw)) if raw.strip() else None
    except (ValueError, RecursionError):
        return raw


def _measure(value: object) -> None:
    """Raise TransformError for a value that is too large, before JSON is made of it."""
    with suppress(RecursionError):  # JSON says so, too
        _size(value, {})


def _size(value: object, sizes: dict[int, int]) -> int:
    """About how long a value is as JSON; what it holds more than once is looked at once. Raises TransformError."""
    if isinstance(value, str):
        return len(value) + 2
    if not isinstance(value, (list, dict)):
        return 4
    whole = cast("list[object] | dict[str, object]", value)
    size = sizes.get(id(whole))
    if size is None:
        parts = whole if isinstance(whole, list) else (*whole, *whole.values())
        size = sizes[id(whole)] = 2 + sum(_size(part, sizes) for part in parts)
    if size > _MAX_MADE:
        raise TransformError(f"The expression made more than {_MAX_MADE // MIB} MiB of one request")
    return size


def _json(value: object) -> bytes:
    try:
        # As short as it came, or an event would be larger than its request. Half of a surrogate pair stays escaped.
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")
    except (TypeError, ValueError, RecursionError) as error:
        raise TransformError(f"The expression's value is not JSON: {error}") from None
