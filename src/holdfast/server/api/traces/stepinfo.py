"""What a step waits for or has come to, as trees show it (`protocol/graphql.md` §4.5). Times in ms since the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.server.model.job import PauseKind

if TYPE_CHECKING:
    from holdfast.server.model.job import Job, Pause
    from holdfast.server.model.span import Span


class RunStepInfo(msgspec.Struct, frozen=True, gc=False):
    """A step that runs user code; `type` if the SDK named one."""

    type: str | None


class SleepStepInfo(msgspec.Struct, frozen=True, gc=False):
    """A sleep."""

    sleep_until: int


class WaitForEventStepInfo(msgspec.Struct, frozen=True, gc=False):
    """A wait for an event."""

    event_name: str
    expression: str | None
    timeout: int
    found_event_id: str | None = None
    timed_out: bool | None = None


class WaitForSignalStepInfo(msgspec.Struct, frozen=True, gc=False):
    """A wait for a signal."""

    signal: str
    timeout: int
    timed_out: bool | None = None


class InvokeStepInfo(msgspec.Struct, frozen=True, gc=False):
    """A call of another function."""

    triggering_event_id: str
    function_id: str
    timeout: int
    return_event_id: str | None = None
    run_id: str | None = None
    timed_out: bool | None = None


StepInfo = RunStepInfo | SleepStepInfo | WaitForEventStepInfo | WaitForSignalStepInfo | InvokeStepInfo

PAUSE_OPS = {PauseKind.EVENT: "WaitForEvent", PauseKind.INVOKE: "InvokeFunction", PauseKind.SIGNAL: "WaitForSignal"}


def finished_step_info(span: Span) -> StepInfo | None:
    """Return the info of a finished step, but for steps that run user code or call a gateway."""
    if span.info is None:
        return None
    known = _Known(span.info)
    match span.op:
        case "Sleep":
            return SleepStepInfo(known.number("until", span.ended_at))
        case "WaitForEvent":
            timeout = known.number("timeout", span.ended_at)
            found, late = known.text("found"), known.flag("timed_out")
            return WaitForEventStepInfo(known.text("event") or "", known.text("expression"), timeout, found, late)
        case "WaitForSignal":
            timeout = known.number("timeout", span.ended_at)
            return WaitForSignalStepInfo(known.text("signal") or "", timeout, known.flag("timed_out"))
        case "InvokeFunction":
            return InvokeStepInfo(
                known.text("event_id") or "",
                known.text("function") or "",
                known.number("timeout", span.ended_at),
                known.text("return_event"),
                known.text("run_id"),
                known.flag("timed_out"),
            )
        case _:
            return None


def sleep_info(job: Job) -> SleepStepInfo:
    """Return the info of a sleep under way."""
    return SleepStepInfo(job.due)


def pause_info(pause: Pause) -> StepInfo:
    """Return the info of a wait under way."""
    if pause.kind is PauseKind.EVENT:
        return WaitForEventStepInfo(pause.event, pause.expression or None, pause.expires)
    if pause.kind is PauseKind.SIGNAL:
        return WaitForSignalStepInfo(pause.key, pause.expires)
    return InvokeStepInfo(pause.trigger, pause.function, pause.expires, run_id=pause.child or None)


class _Known:
    """`Span.info`, read by type: what is missing or of another type is not known."""

    def __init__(self, info: dict[str, str | int | bool]) -> None:
        self._info = info

    def text(self, key: str) -> str | None:
        value = self._info.get(key)
        return value if isinstance(value, str) and value else None

    def number(self, key: str, default: int) -> int:
        value = self._info.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def flag(self, key: str) -> bool | None:
        value = self._info.get(key)
        return value if isinstance(value, bool) else None
