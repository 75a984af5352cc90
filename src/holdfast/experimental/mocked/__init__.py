"""Functions run without a server: steps run at once, or are replaced by stubs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import enum
import unittest.mock
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.experimental.mocked.errors import UnstubbedStepError
from holdfast.sdk.calls import CallContext, ServerRequest, wire_event
from holdfast.sdk.client import Inngest as _Inngest
from holdfast.sdk.consts import Opcode
from holdfast.sdk.context import Context, ContextSync
from holdfast.sdk.errors import is_retriable
from holdfast.sdk.execution import CallResult, Execution
from holdfast.sdk.groups import Group, GroupSync
from holdfast.sdk.memos import MemoizedError, Output, StepMemos
from holdfast.sdk.middleware import MiddlewareManager
from holdfast.sdk.step import Step
from holdfast.sdk.step_sync import StepSync
from holdfast.sdk.timings import ServerTimings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from holdfast.sdk.events import Event
    from holdfast.sdk.function import Function

__all__ = ["Inngest", "Status", "Timeout", "UnstubbedStepError", "trigger"]

_DEFAULT_RETRIES: Final = 4
_ID: Final = "0" * 26


class Status(enum.Enum):
    """How a run ended."""

    COMPLETED = "Completed"
    FAILED = "Failed"


#: Stub a wait with it: nothing came in time.
Timeout: Final = object()


class Inngest(_Inngest):
    """A client that sends nothing."""

    async def send(self, events: Event | list[Event], *, skip_middleware: bool = False) -> list[str]:  # noqa: ARG002
        """Return one made-up id for each event."""
        return self.send_sync(events)

    def send_sync(self, events: Event | list[Event], *, skip_middleware: bool = False) -> list[str]:  # noqa: ARG002
        """Return one made-up id for each event."""
        return [_ID] * (len(events) if isinstance(events, list) else 1)


@dataclasses.dataclass
class Result:
    """The end of a run."""

    error: Exception | None
    output: object
    status: Status


def trigger(
    fn: Function[Any], event: Event | list[Event], client: Inngest, *, step_stubs: dict[str, object] | None = None
) -> Result:
    """Run a function to its end, without waiting: sleeps are over at once.

    Args:
        fn: The function.
        event: What starts the run; several events are a batch.
        client: Takes the place of the function's client in its steps.
        step_stubs: Results by step id. Waits, invocations and calls of models need one; other steps may have one.

    Raises:
        UnstubbedStepError: A step needs a stub.

    """
    events = event if isinstance(event, list) else [event]
    if not events:
        raise ValueError("Must provide at least 1 event")
    return _Run(fn, events, client, step_stubs or {}).finish()


class _Run:
    def __init__(self, function: Function[Any], events: list[Event], client: Inngest, stubs: dict[str, object]) -> None:
        self._function = function
        self._events = events
        self._client = client
        self._stubs = stubs
        self._memos: dict[str, Output] = {}
        self._planned: list[str] = []
        self._attempts: dict[str | None, int] = {}
        retries = function._options.retries  # noqa: SLF001 - a test tool of the same package
        self._max_attempts = (_DEFAULT_RETRIES if retries is None else retries) + 1

    def finish(self) -> Result:
        while True:
            target = self._planned.pop(0) if self._planned else None
            result = self._call(target)
            if result.multi is None and result.error is None:
                return Result(None, result.output, Status.COMPLETED)
            if result.multi is None and result.error is not None:
                if not self._may_retry(target, result.error):
                    return Result(result.error, None, Status.FAILED)
                continue
            self._take_all(result.multi or [])

    def _may_retry(self, target: str | None, error: Exception) -> bool:
        count = self._attempts[target] = self._attempts.get(target, 0) + 1
        again = is_retriable(error) and count < self._max_attempts
        self._planned = [each for each in self._planned if each != target]
        if again and target is not None:
            self._planned.insert(0, target)
        return again

    def _take_all(self, results: list[CallResult]) -> None:
        """Note the results of steps; the error of one that failed for good is raised in the function."""
        for result in results:
            step = result.step
            if step is None:
                continue
            if result.error is not None:
                if not self._may_retry(step.id, result.error):
                    self._memos[step.id] = Output(error=_memoized(result.error))
            else:
                self._take(step.id, step.display_name, step.op, result.output)

    def _take(self, hashed: str, step_id: str, op: Opcode, output: object) -> None:
        if step_id in self._stubs:
            stub = self._stubs[step_id]
            self._memos[hashed] = Output(data=None if stub is Timeout else stub)
        elif op is Opcode.PLANNED:
            if hashed not in self._planned:
                self._planned.append(hashed)
        elif op in {Opcode.SLEEP, Opcode.STEP_RUN}:
            self._memos[hashed] = Output(data=output)
        else:
            raise UnstubbedStepError(step_id)

    def _call(self, target: str | None) -> CallResult:
        """Call the function as a server does, with a plan for each step."""
        function, client = self._function, self._client
        about = CallContext(self._attempts.get(target, 0), "test", disable_immediate_execution=True)
        wired = [wire_event(each) for each in self._events]
        request = ServerRequest(about, wired[0], {}, events=wired)
        middleware = MiddlewareManager(client, {})
        memos = StepMemos({hashed: msgspec.structs.replace(memo) for hashed, memo in self._memos.items()})
        execution = Execution(request, memos, middleware, target)
        shared: dict[str, Any] = {
            "attempt": about.attempt,
            "event": self._events[0],
            "events": self._events,
            "logger": unittest.mock.Mock(),
            "run_id": about.run_id,
        }
        timings = ServerTimings()
        if function.is_handler_async:
            ctx = Context(step=Step(client, execution), group=Group(), **shared)
            return _run(function.call(client, ctx, function.id, middleware, timings))
        plain = ContextSync(step=StepSync(client, execution), group=GroupSync(), **shared)
        return function.call_sync(client, plain, function.id, middleware, timings)


def _memoized(error: Exception) -> MemoizedError:
    about = {"class": f"{type(error).__module__}:{type(error).__qualname__}"}
    return MemoizedError(str(error), type(error).__name__, data=about)


def _run(coroutine: Coroutine[Any, Any, CallResult]) -> CallResult:
    """Run a coroutine to its end, also where a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
