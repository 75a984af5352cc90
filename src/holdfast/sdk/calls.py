"""The request that a server makes to have a function go on."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.sdk.errors import BodyInvalidError
from holdfast.sdk.events import Event


class CallContext(msgspec.Struct):
    """What is said about the call itself. `fn_id` is the server's id of the function, `qi_id` names the job."""

    attempt: int
    run_id: str
    disable_immediate_execution: bool = False
    max_attempts: int | None = None
    fn_id: str = ""
    qi_id: str = ""


class WireEvent(msgspec.Struct):
    """An event of a call."""

    name: str
    data: dict[str, Any] | None = None
    id: str = ""
    ts: int = 0
    v: str | None = None
    meta: dict[str, Any] | None = None


class KnownDefer(msgspec.Struct):
    """A defer that the server knows of, and whether it can still be taken back."""

    abortable: bool = False


class ServerRequest(msgspec.Struct):
    """A call: `steps` are memoised results by hashed id, undecoded; `use_api` says that state has to be fetched."""

    ctx: CallContext
    event: WireEvent
    steps: dict[str, msgspec.Raw]
    use_api: bool = False
    events: list[WireEvent] | None = None
    defers: dict[str, KnownDefer] | None = None

    def trigger(self) -> Event:
        """Return the event that started the run, the first of a batch."""
        return _event(self.event)

    def all_events(self) -> list[Event] | None:
        """Return all events that started the run, None if they were not sent."""
        return None if self.events is None else [_event(each) for each in self.events]


_decode_request = msgspec.json.Decoder(ServerRequest).decode
_decode_batch = msgspec.json.Decoder(list[WireEvent]).decode
_decode_steps = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_request(body: bytes) -> ServerRequest:
    """Decode a call; raise BodyInvalidError that says what is wrong with it."""
    try:
        return _decode_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyInvalidError(f"the body is no call of a server: {error}") from None


def read_batch(body: bytes) -> list[Event]:
    """Decode the events of a run, as the API sends them."""
    try:
        return [_event(each) for each in _decode_batch(body)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyInvalidError(f"batch data is not an array of events: {error}") from None


def read_steps(body: bytes) -> dict[str, msgspec.Raw]:
    """Decode the memoised steps of a run, as the API sends them."""
    try:
        return _decode_steps(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyInvalidError(f"step data is not an object: {error}") from None


def _event(wire: WireEvent) -> Event:
    return Event(name=wire.name, data=wire.data or {}, id=wire.id, ts=wire.ts, v=wire.v, meta=wire.meta)


def wire_event(event: Event) -> WireEvent:
    """Return an event in the form of a call."""
    return WireEvent(event.name, dict(event.data), event.id, event.ts)
