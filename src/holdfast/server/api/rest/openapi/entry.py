"""What the document says of a route that is no operation of REST v2."""

from __future__ import annotations

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """An answer: its type (None for a body that is no JSON of ours, or no body), and its content type."""

    status: int
    text: str
    type: object | None = None
    content: str = "application/json"  # empty: there is no body
    envelope: object | None = None  # of `metadata`, if the type is that of `data`


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter."""

    name: str
    text: str
    type: object = str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A route. Parameters of its path are texts."""

    method: str
    path: str
    tag: str
    summary: str
    replies: tuple[Reply, ...]
    query: tuple[Parameter, ...] = ()
    body: object | None = None
    body_content: str = "application/json"
    guarded: bool = True  # wants a signing key, a token or a login in `start`


class PublicError(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The error of all routes but those of REST v2; `status` is that of the answer."""

    error: str
    data: object
    status: int
    code: str = ""


def failures(*statuses: int) -> tuple[Reply, ...]:
    """Answers with the public error."""
    return tuple(Reply(status, _TEXTS[status], PublicError) for status in statuses)


_TEXTS = {
    400: "The request can't be read, or a value is out of its range.",
    403: "Not allowed.",
    404: "Not found.",
    409: "It has ended, or already exists.",
    410: "The run has ended: its state was deleted.",
    413: "The body is too large.",
    500: "The server failed; for a signal: its name is missing.",
    501: "Not offered.",
    503: "The change could not be stored; nothing was done.",
}
EMPTY = Reply(200, "Done; the body is empty.", None, "")
