"""The Event API's codec (`protocol/http-apis.md` §2): from a request body to accepted events, bytes kept as bytes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from holdfast.protocol.ids import seeded_ulids
from holdfast.protocol.limits import MAX_EVENT_NAME
from holdfast.protocol.rawjson import UNREADABLE, decode_members, decode_text, encode, pick, text_of
from holdfast.protocol.sent_events import NAMELESS, SentEvent, mistyped, read_one, read_sent, split_sent
from holdfast.protocol.sessions import merge_sessions
from holdfast.protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable

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
    #: The trace that the sender was in.
    trace: TraceContext | None = None

    @property
    def internal(self) -> bool:
        """Whether the server made it."""
        return self.name.startswith(INTERNAL_PREFIX)


class Intake(msgspec.Struct, gc=False):
    """What a request to the Event API came to: the events accepted before the first bad one, and its error."""

    events: list[Event]
    error: str = ""


class EventError(ValueError):
    """A bad event; the text is what the client sees."""


INVOKED: Final = "inngest/function.invoked"
FINISHED: Final = "inngest/function.finished"
UNREADABLE_INVOKE: Final = "Unable to read post data request"
INVALID_INVOKE: Final = "Invalid invocation event"
MIN_TS: Final = 315_532_800_000  # 1980-01-01
MAX_TS: Final = 4_102_444_800_000  # 2100-01-01

METADATA: Final = "_inngest"

_METADATA_BYTES = METADATA.encode()
_EMPTY = Raw(b"{}")
_RESERVED_START = frozenset("iI")


class _Seen(msgspec.Struct, gc=False):
    """An event as functions see it; the order of the fields is the order of the keys."""

    data: Raw
    id: str
    name: str
    ts: int
    user: Raw = _EMPTY


class _SeenInFull(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """The same with what most events lack."""

    data: Raw
    id: str
    meta: dict[str, Raw] | None = None
    name: str
    ts: int
    user: Raw
    v: str = ""


class _WrittenInvocation(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """An invocation as its event carries it: some keys even when empty."""

    correlation_id: str = ""
    debug_run_id: str = ""
    debug_session_id: str = ""
    expire: int
    fn_id: str
    gid: str
    isr: Raw | None = None
    name: str
    source_app_id: str
    source_fn_id: str
    source_fn_v: int
    tc: Raw | None = None


_decode_invocation = msgspec.json.Decoder(Invocation).decode


def read_events(body: bytes, *, content_type: str, now_ms: int, new_id: Callable[[int], str], seed: str = "") -> Intake:
    """Read, normalise and validate one event or an array of them.

    `new_id(ms)` mints internal ids, unless `seed` (`x-inngest-event-id-seed`) gives them.
    """
    sent, error = read_sent(body, content_type)
    seeded = seeded_ulids(seed) if seed else None
    clean = _METADATA_BYTES not in body
    events: list[Event] = []
    try:
        for number, event in enumerate(sent, 1):
            id_ = new_id(now_ms) if seeded is None else seeded(number)
            events.append(_accept(event, id_, now_ms, clean=clean, seeded=seeded is not None))
    except EventError as bad:
        error = str(bad)
    return Intake(events, error)


class EventReader:
    """Read a long body a few events at a time, with the outcome of `read_events`.

    `events` are those that were read so far. `error` says, at the end, what is wrong with the first bad one.
    """

    def __init__(
        self, body: bytes, *, content_type: str, now_ms: int, new_id: Callable[[int], str], seed: str = ""
    ) -> None:
        self.events: list[Event] = []
        self.error = ""
        items, self._rest = split_sent(body, content_type)
        self._items = iter(items)
        self._now_ms = now_ms
        self._seeded = seeded_ulids(seed) if seed else None
        self._new_id = new_id
        self._clean = _METADATA_BYTES not in body

    def read(self, most: int, most_bytes: int) -> bool:
        """Read at most so many events more, or as many as have so many bytes. Return whether there may be more."""
        before, left = len(self.events), most_bytes
        try:
            for item in islice(self._items, most):
                self.events.append(self._read(item))
                left -= len(item)
                if left <= 0:
                    return True
        except ValueError as bad:
            self._items, self._rest = iter(()), str(bad)
        if len(self.events) - before == most:
            return True
        self.error = self._rest
        return False

    def _read(self, item: bytes) -> Event:
        seeded, now = self._seeded, self._now_ms
        sent = read_one(item)
        id_ = self._new_id(now) if seeded is None else seeded(len(self.events) + 1)
        return _accept(sent, id_, now, clean=self._clean, seeded=seeded is not None)


def _accept(sent: SentEvent, id_: str, now_ms: int, *, clean: bool, seeded: bool) -> Event:
    data = sent.data
    json = bytes(data)
    if json[:1] != b"{":
        data = _object("data", json)
    elif not clean and _METADATA_BYTES in json:
        data = _without_metadata(data)
    user = bytes(sent.user)
    name = sent.name or ""
    if len(name) > MAX_EVENT_NAME:
        raise EventError(f"event name is too long: {len(name)} characters, of at most {MAX_EVENT_NAME}")
    if name[:1] in _RESERVED_START and name.lower().startswith(INTERNAL_PREFIX):
        raise EventError(f"event name is reserved for internal use: {name}")
    meta = bytes(sent.meta)
    sessions = _sessions(meta) if meta else b""
    if not name:
        raise EventError(NAMELESS)
    external_id = sent.id or id_
    ts = _time(sent.ts) if sent.ts else now_ms
    if sessions or sent.v or user:
        json = _render_in_full(name, external_id, ts, data, _object("user", user), sent.v or "", sessions)
    else:
        json = encode(_Seen(data, external_id, name, ts))
    return Event(id_, name, external_id, ts, now_ms, json, seeded or bool(sent.id), None, "", sessions)


def _object(name: str, json: bytes) -> Raw:
    """An object as it is; nothing and null are an empty one."""
    if json[:1] == b"{":
        return Raw(json)
    if json and (error := mistyped(name, json)):
        raise EventError(error)
    return _EMPTY


def _without_metadata(data: Raw) -> Raw:
    """Drop what only the server may say of an event."""
    members = decode_members(data)
    return Raw(encode(members)) if members.pop(METADATA, None) is not None else data


def _sessions(meta: bytes) -> bytes:
    try:
        return merge_sessions(meta)
    except ValueError as error:
        raise EventError(str(error)) from None


def _time(ts: int) -> int:
    if MIN_TS <= ts <= MAX_TS:
        return ts
    # The reference gives times that lie too late the same text.
    raise EventError(mistyped("ts", str(ts).encode()) or "timestamp is before Jan 1, 1980")


def read_invoke(body: bytes, slug: str, *, now_ms: int, new_id: Callable[[int], str], seed: str = "") -> Event:
    """Read the body of `POST /invoke/{slug}` into an invocation event. Raises EventError with the public text."""
    found, error = read_sent(body, "application/json")
    if error or len(found) != 1 or body.lstrip()[:1] != b"{":
        raise EventError(UNREADABLE_INVOKE)
    sent = found[0]
    try:
        data, user = _object("data", bytes(sent.data)), _object("user", bytes(sent.user))
    except EventError:
        raise EventError(UNREADABLE_INVOKE) from None
    try:
        ts, sessions = _time(sent.ts) if sent.ts else now_ms, _sessions(bytes(sent.meta) or b"null")
    except EventError:
        raise EventError(INVALID_INVOKE) from None
    seeded = seeded_ulids(seed) if seed else None
    id_ = new_id(now_ms) if seeded is None else seeded(0)
    external_id = sent.id or id_
    invocation = Invocation(fn_id=slug)
    data = Raw(with_invocation(bytes(data), invocation))
    json = _render_in_full(INVOKED, external_id, ts, data, user, sent.v or "", sessions)
    deduplicated = seeded is not None or bool(sent.id)
    return Event(id_, INVOKED, external_id, ts, now_ms, json, deduplicated, invocation, "", sessions)


def with_invocation(data: bytes, invocation: Invocation) -> bytes:
    """Put an invocation's metadata into the data object of its event, in place of what was there (§3)."""
    fields = {name: getattr(invocation, name) for name in _WrittenInvocation.__struct_fields__}
    return encode(decode_members(data) | {METADATA: Raw(encode(_WrittenInvocation(**fields)))})


def load_event(id: str, name: str, external_id: str, ts: int, received_at: int, json: bytes) -> Event:
    """Return an event from its stored row.

    `invocation`, `correlation_id` and `sessions` are read from `json` where they can occur. How the id came about isn't
    stored, so a sent event counts as one that can be repeated.
    """
    internal = name.startswith(INTERNAL_PREFIX)
    event = Event(id, name, external_id, ts, received_at, json, not internal or external_id != id)
    if b'"meta"' in json:
        meta = pick(bytes(pick(json, "meta").get("meta", b"")), "sessions")
        event.sessions = bytes(meta.get("sessions", b""))
    if internal:
        data = pick(bytes(pick(json, "data").get("data", b"")), METADATA, "correlation_id")
        if name == INVOKED and METADATA in data:
            event.invocation = _load_invocation(data[METADATA])
        if name == FINISHED:
            event.correlation_id = text_of(data.get("correlation_id"))
    return event


def _load_invocation(json: Raw) -> Invocation | None:
    # msgspec decodes `Raw | None` from null alone, so these members go round it.
    try:
        members = decode_members(json)
        raw = {name: members.pop(name) for name in ("tc", "isr") if name in members}
        return msgspec.structs.replace(_decode_invocation(encode(members)), **raw)
    except UNREADABLE:
        return None


def render_event(
    name: str,
    id: str,
    ts: int,
    data: bytes,
    *,
    user: bytes = b"{}",
    v: bytes = b"",
    sessions: bytes = b"",
) -> bytes:
    """Write the JSON that functions see, keys sorted. `v` is JSON too; empty, it is left out, as `sessions` are."""
    version = "" if v in {b"", b"null"} else decode_text(v)
    return _render_in_full(name, id, ts, Raw(data), Raw(user), version, sessions)


def _render_in_full(name: str, id_: str, ts: int, data: Raw, user: Raw, v: str, sessions: bytes) -> bytes:
    meta = {"sessions": Raw(sessions)} if sessions else None
    return encode(_SeenInFull(data=data, id=id_, meta=meta, name=name, ts=ts, user=user, v=v))
