"""Error objects that users see (`protocol/execution.md` §3.8, §4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.protocol.rawjson import pick, quote, text_of

if TYPE_CHECKING:
    from msgspec import Raw

UNKNOWN_MESSAGE: Final = "Function execution error"
UNKNOWN_NAME: Final = "Error"

#: A longer string is taken as text, not looked into for an error object.
MAX_NESTED: Final = 32 * 1024

#: Characters of an error's name, and of its message, that a list shows.
MAX_LINE: Final = 200

_FIELDS: Final = ("cause", "error", "message", "name", "stack")
_STORED: Final = ("cause", "data", "message", "name", "noRetry", "stack")
#: Go's SDK sends `"data":null`, and can't read its own state back without it.
_NULLABLE: Final = frozenset({"cause", "data", "stack"})


def standard_error(output: bytes | None, error: str) -> bytes:
    """Derive `{"error","name","message","stack"?,"cause"?}` from a failed attempt's body (JSON) and error text."""
    found = _fields(output) if output else {}
    unknown = quote(error or UNKNOWN_MESSAGE)
    parts = [
        b'"cause":' + found["cause"] if "cause" in found else b"",
        b'"error":' + found.get("error", unknown),
        b'"message":' + found.get("message", unknown),
        b'"name":' + found.get("name", quote(UNKNOWN_NAME)),
        b'"stack":' + found["stack"] if "stack" in found else b"",
    ]
    return b"{" + b",".join(filter(None, parts)) + b"}"


def error_line(output: bytes | None, error: str) -> str:
    """Return `<name>: <first line of the message>` of a failed attempt's body (JSON) and error text, for lists."""
    found = pick(standard_error(output, error), "name", "message")
    name, message = (text_of(found[field]) for field in ("name", "message"))
    first = message.strip().partition("\n")[0][:MAX_LINE]
    return first if name in {"", UNKNOWN_NAME} else f"{name[:MAX_LINE]}: {first}" if first else name[:MAX_LINE]


def server_error(name: str, message: str, error: str | None = None, stack: str | None = None) -> bytes:
    """Write the wrapped object `{"error":{"error","name","message"[,"stack"]}}` of a failure that the server decides.

    `error` is `<name>: <message>` unless given.
    """
    fields = {"error": f"{name}: {message}" if error is None else error, "name": name, "message": message}
    if stack is not None:
        fields["stack"] = stack
    members = b",".join(quote(key) + b":" + quote(value) for key, value in fields.items())
    return b'{"error":{' + members + b"}}"


def step_error(error: bytes, no_retry: bool | None = None) -> bytes:
    """Reduce a step's error, as its SDK sent it, to what is stored of it (§4.5); other keys such as `code` are lost.

    A null `cause`, `data` or `stack` is kept. `no_retry` replaces what the SDK says of it.
    """
    members = {
        name: bytes(value)
        for name, value in pick(error, *_STORED).items()
        if name in _NULLABLE or bytes(value) != b"null"
    }
    if error[:1] == b'"':
        members["message"] = error
    if no_retry is not None:
        members["noRetry"] = b"true" if no_retry else b""
    elif members.get("noRetry") != b"true":
        members.pop("noRetry", None)
    for name, default in (("message", b'""'), ("name", b'"Error"')):
        value = members.setdefault(name, default)
        if value[:1] != b'"':
            members[name] = quote(value.decode())
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), members[name]) for name in _STORED if members.get(name)) + b"}"


def _fields(output: bytes) -> dict[str, bytes]:
    """Return the known fields of the error object within a body; a text is its message."""
    if output[:1] == b'"':
        return {"message": output} if output != b'""' else {}
    top = pick(output, *_FIELDS, "body")
    members = _nested(top.get("error")) or _nested(top.get("body")) or top
    return {name: bytes(members[name]) for name in _FIELDS if name in members and _known(name, bytes(members[name]))}


def _known(name: str, value: bytes) -> bool:
    if name == "cause":
        return value != b"null"
    return value[:1] == b'"' and value != b'""'


def _nested(value: Raw | None) -> dict[str, Raw]:
    """Return the members of an object, or of one written as a string."""
    json = bytes(value) if value is not None else b""
    if json[:1] == b'"' and len(json) <= MAX_NESTED:
        json = text_of(value).encode()
    return pick(json, *_FIELDS) if json[:1] == b"{" else {}
