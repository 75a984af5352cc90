"""Steps before they are taken: what is reported of each kind, and how its memo becomes a result."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.sdk.consts import Opcode, ParallelMode
from holdfast.sdk.events import Event
from holdfast.sdk.experiments import attribute
from holdfast.sdk.timing import to_iso_utc, to_wait_str

if TYPE_CHECKING:
    import datetime as dt

    from holdfast.sdk.ai import BaseAdapter
    from holdfast.sdk.timing import Duration

_MAX_COUNT: Final = 1


class Userland(msgspec.Struct):
    """The user's id of a step, and which of its uses this is; None for the first."""

    id: str
    index: int | None = None


class StepInfo(msgspec.Struct, rename={"display_name": "displayName"}):
    """What is reported of a step."""

    display_name: str
    id: str
    name: str
    op: Opcode
    opts: dict[str, Any] | None = None
    userland: Userland | None = None
    metadata: list[dict[str, Any]] | None = None

    def set_parallel_mode(self, mode: ParallelMode) -> None:
        """Ask the server to go on after this step, whatever its group does."""
        if mode is ParallelMode.RACE:
            self.opts = {**(self.opts or {}), "parallelMode": mode.value}


def _same(value: object) -> object:
    return value


class Plan(msgspec.Struct):
    """A step to take: its report, its body if it runs here, how many attempts it has, and how to read its memo."""

    info: StepInfo
    body: Callable[[tuple[Any, ...]], Any] | None = None
    args: tuple[Any, ...] = ()
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = _same
    retries: int | None = None
    timeout_s: float | None = None


class StepCounter:
    """Counts how often each id was used in a request: the second `a` is another step than the first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def info(self, step_id: str, op: Opcode, name: str = "", opts: dict[str, Any] | None = None) -> StepInfo:
        """Return the report of the next step with an id."""
        with self._lock:
            count = self._counts[step_id] = self._counts.get(step_id, 0) + 1
        index = None if count == _MAX_COUNT else count - 1
        hashed = hash_step_id(step_id if index is None else f"{step_id}:{index}")
        return attribute(StepInfo(step_id, hashed, name or step_id, op, opts, Userland(step_id, index)))


def hash_step_id(step_id: str) -> str:
    """Return the SHA-1 of a step's id in hex, by which the server knows it."""
    return hashlib.sha1(step_id.encode(), usedforsecurity=False).hexdigest()


def sleep(counter: StepCounter, step_id: str, until: dt.datetime) -> Plan:
    """Plan a sleep that ends at a moment."""
    return Plan(counter.info(step_id, Opcode.SLEEP, to_iso_utc(until)))


def wait_for_event(counter: StepCounter, step_id: str, event: str, if_exp: str | None, timeout: Duration) -> Plan:
    """Plan to wait for an event."""
    opts = {"if": if_exp, "timeout": to_wait_str(timeout)}
    return Plan(counter.info(step_id, Opcode.WAIT_FOR_EVENT, event, opts), read=_read_event)


def wait_for_signal(
    counter: StepCounter, step_id: str, signal: str, timeout: Duration, on_conflict: str, read: Callable[[Any], Any]
) -> Plan:
    """Plan to wait for a signal."""
    opts = {"signal": signal, "timeout": to_wait_str(timeout), "conflict": on_conflict}
    return Plan(counter.info(step_id, Opcode.WAIT_FOR_SIGNAL, signal, opts), read=read)


def invoke(
    counter: StepCounter,
    step_id: str,
    function_id: str,
    data: Mapping[str, object] | None,
    timeout: Duration | None,
    v: str | None,
    read: Callable[[Any], Any] = _same,
) -> Plan:
    """Plan to invoke a function, by its id with the app's in front."""
    wait = None if timeout is None else to_wait_str(timeout)
    opts = {"function_id": function_id, "payload": {"data": data, "v": v}, "timeout": wait}
    return Plan(counter.info(step_id, Opcode.INVOKE, opts=opts), read=read)


def infer(counter: StepCounter, step_id: str, adapter: BaseAdapter, body: dict[str, Any]) -> Plan:
    """Plan to have the server call a model; the caller's body stays as it is."""
    body = dict(body)
    adapter.on_call(body)
    opts = {
        "type": "step.ai.infer",
        "auth_key": adapter.auth_key(),
        "body": body,
        "format": adapter.format(),
        "headers": adapter.headers(),
        "url": adapter.url_infer(),
    }
    return Plan(counter.info(step_id, Opcode.AI_GATEWAY, opts=opts))


def fetch(
    counter: StepCounter, step_id: str, method: str, url: str, headers: Mapping[str, str] | None, body: str | None
) -> Plan:
    """Plan to have the server make a request."""
    opts: dict[str, Any] = {"url": url, "method": method.upper(), "headers": dict(headers or {})}
    if body is not None:
        opts["body"] = body
    return Plan(counter.info(step_id, Opcode.GATEWAY, opts=opts), read=read_response)


class FetchResponse(msgspec.Struct):
    """The answer to a request that the server made for a run."""

    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    status_code: int = 0

    @property
    def text(self) -> str:
        """The body."""
        return self.body

    def json(self) -> Any:
        """Return the body's JSON, decoded."""
        return msgspec.json.decode(self.body)


def read_response(memo: Any) -> FetchResponse:
    """Return the answer that a memo holds."""
    return msgspec.convert(memo, FetchResponse)


def _read_event(memo: Any) -> Event | None:
    return None if memo is None else Event.model_validate(memo)
