"""The Event API's codec (`protocol/http-apis.md` §2): from a request body to accepted events, bytes kept as bytes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

INTERNAL_PREFIX = "inngest/"


class Invocation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`data._inngest` of `inngest/function.invoked` (`protocol/http-apis.md` §3)."""

    fn_id: str = ""
    correlation_id: str = ""
    expire: int = 0
    gid: str = ""
    name: str = ""
    source_app_id: str = ""
    source_fn_id: str = ""
    source_fn_v: int = 0
    debug_session_id: str = ""
    debug_run_id: str = ""
    tc: Raw | None = None
    isr: Raw | None = None


class Event(msgspec.Struct, gc=False):
    """One accepted event.

    `json` is the form that functions see (`protocol/execution.md` §2.3): `{"data":…,"id":…,"name":…,"ts":…,"user":…}`
    with sorted keys, rendered once. Times are milliseconds since the epoch.
    """

    id: str  # internal ULID, what the Event API answers
    name: str
    external_id: str  # the sender's id, or the internal one
    ts: int
    received_at: int
    json: bytes
    #: Whether a repetition of `external_id` can occur (the sender chose the id, or seeded it).
    deduplicated: bool = False
    #: Set on `inngest/function.invoked` made by the server.
    invocation: Invocation | None = None
    #: `inngest/function.finished`: the invoker's correlation id.
    correlation_id: str = ""
    #: `meta.sessions` as JSON, copied to lifecycle events.
    sessions: bytes = b""

    @property
    def internal(self) -> bool:
        """Whether the server made it."""
        return self.name.startswith(INTERNAL_PREFIX)


class Intake(msgspec.Struct, gc=False):
    """What a request to the Event API came to: the events accepted before the first bad one, and its error."""

    events: list[Event]
    error: str = ""


def read_events(body: bytes, *, content_type: str, now_ms: int, new_id: Callable[[int], str], seed: str = "") -> Intake:
    """Reads, normalises and validates one event or an array of them. `new_id(ms)` mints internal ids."""
    raise NotImplementedError


def read_invoke(body: bytes, slug: str, *, now_ms: int, new_id: Callable[[int], str], seed: str = "") -> Event:
    """Reads the body of `POST /invoke/{slug}` into an invocation event. Raises EventError with the public text."""
    raise NotImplementedError


class EventError(ValueError):
    """A bad event; the text is what the client sees."""


def load_event(id: str, name: str, external_id: str, ts: int, received_at: int, json: bytes) -> Event:
    """An event from its stored row; `invocation`, `correlation_id` and `sessions` are read from `json` where they can occur."""
    raise NotImplementedError


def render_event(name: str, id: str, ts: int, data: bytes, *, user: bytes = b"{}", v: bytes = b"", sessions: bytes = b"") -> bytes:
    """The JSON that functions see, keys sorted."""
    raise NotImplementedError
