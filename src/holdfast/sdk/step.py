"""Steps of asynchronous functions. Each returns a coroutine: await it, or hand it to `gather` or a `TaskGroup`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, TypeVarTuple, overload

from holdfast.sdk import plans, scores
from holdfast.sdk.serializers import UNTYPED
from holdfast.sdk.step_base import Signal, StepBase, fetch_parts

if TYPE_CHECKING:
    from holdfast.sdk.ai import BaseAdapter
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.events import Event
    from holdfast.sdk.execution import Execution
    from holdfast.sdk.experiments import Selection
    from holdfast.sdk.function import Function
    from holdfast.sdk.plans import FetchResponse, Plan, StepCounter
    from holdfast.sdk.timing import Duration

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Step(StepBase):
    """The steps of an asynchronous function."""

    def __init__(self, client: Inngest, execution: Execution, counter: StepCounter | None = None) -> None:
        super().__init__(client, execution, counter)
        self.ai = AI(self)

    @overload
    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *handler_args: *Ts,
        output_type: object = ...,
        retries: int | None = ...,
        timeout: Duration | None = ...,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *handler_args: *Ts,
        output_type: object = ...,
        retries: int | None = ...,
        timeout: Duration | None = ...,
    ) -> Coroutine[Any, Any, T]: ...
    def run(  # type: ignore[misc]  # mypy does not fit *Any to *Ts
        self,
        step_id: str,
        handler: Any,
        *handler_args: Any,
        output_type: object = UNTYPED,
        retries: int | None = None,
        timeout: Duration | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Run code once: its result is stored, and returned in later calls of the run.

        Args:
            step_id: Names the step. It may be used again: the second use is another step.
            handler: What to run, asynchronous or not; bind keyword arguments with `functools.partial`.
            *handler_args: Its arguments.
            output_type: The type of its result, where the handler is not annotated.
            retries: Retries of this step, if fewer than the function's.
            timeout: Fail an attempt that takes longer: milliseconds, a timedelta, or `"30s"`.

        Raises:
            StepError: In later calls, if the step failed for good.

        """
        return self._settle(self._plan_run(step_id, handler, handler_args, output_type, retries, timeout))

    def sleep(self, step_id: str, duration: Duration) -> Coroutine[Any, Any, None]:
        """Sleep: milliseconds, a timedelta, or a text such as `"3d"`. Nothing runs meanwhile."""
        return self._settle(self._plan_sleep(step_id, duration))

    def sleep_until(self, step_id: str, until: dt.datetime) -> Coroutine[Any, Any, None]:
        """Sleep until a moment; a naive one is local time."""
        return self._settle(self._plan_sleep_until(step_id, until))

    def wait_for_event(
        self, step_id: str, *, event: str, timeout: Duration, if_exp: str | None = None
    ) -> Coroutine[Any, Any, Event | None]:
        """Wait for an event that matches `if_exp`; None if none came in time.

        In the expression `async` is the event that came, and `event` the one that started the run.
        """
        return self._settle(plans.wait_for_event(self._counter, step_id, event, if_exp, timeout))

    def wait_for_signal(
        self,
        step_id: str,
        *,
        signal: str,
        timeout: Duration,
        on_conflict: Literal["fail", "replace"] = "fail",
        data_type: object = UNTYPED,
    ) -> Coroutine[Any, Any, Signal | None]:
        """Wait for a signal by its exact name; None if it did not come in time.

        If another run waits for it, `on_conflict` says whether this run fails or takes its place.
        """
        return self._settle(self._plan_signal(step_id, signal, timeout, on_conflict, data_type))

    def send_signal(self, step_id: str, *, signal: str, data: object = None) -> Coroutine[Any, Any, str | None]:
        """Send a signal; return the id of the run that waited for it, None if none did."""
        return self.run(step_id, self._client.send_signal, signal, data)

    def send_event(self, step_id: str, events: Event | list[Event]) -> Coroutine[Any, Any, list[str]]:
        """Send events; return their ids."""
        return self._settle(self._plan_send(step_id, events, sync=False))

    def invoke(
        self,
        step_id: str,
        *,
        function: Function[T],
        data: Mapping[str, object] | Any | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Run another function of this app with `data` as its event's, and return its result.

        Raises:
            StepError: If it failed, or did not end within `timeout`.

        """
        return self._settle(self._plan_invoke(step_id, function, data, timeout, v))

    def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        app_id: str | None = None,
        data: Mapping[str, object] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> Coroutine[Any, Any, object]:
        """Run a function of this or another app by its id; see `invoke`."""
        return self._settle(self._plan_invoke_by_id(step_id, app_id, function_id, data, timeout, v))

    def fetch(
        self,
        step_id: str,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        json: object = None,
        body: str | None = None,
    ) -> Coroutine[Any, Any, FetchResponse]:
        """Have the server make a request: nothing runs here meanwhile. Every status is an answer.

        Raises:
            StepError: If there was no answer.

        """
        headers, body = fetch_parts(headers, json, body)
        return self._settle(plans.fetch(self._counter, step_id, method, url, headers, body))

    def metadata(
        self, step_id: str, values: dict[str, Any], *, kind: str = "userland", of_step: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Merge values into what is known of the run, or of one of its steps; `kind` names them (`userland.cost`)."""
        kind = kind if kind.startswith(("userland", "inngest.")) else f"userland.{kind}"
        return self._settle(self._plan_metadata(step_id, values, kind, of_step, sync=False))

    def score(self, step_id: str, *, name: str, value: float, of_step: str | None = None) -> Coroutine[Any, Any, None]:
        """Store a score of the run, or of one of its steps: a number or a boolean."""
        scores.check_score("run", of_step, name, value)
        return self._settle(self._plan_metadata(step_id, {name: {"value": value}}, scores.SCORE, of_step, sync=False))

    def _choose(self, experiment_id: str, names: list[str], select: Selection) -> Coroutine[Any, Any, dict[str, str]]:
        return self._settle(self._plan_choice(experiment_id, names, select))

    def _settle(self, plan: Plan) -> Coroutine[Any, Any, Any]:
        self._execution.created += 1
        return self._execution.settle(plan)


class AI:
    """Calls of models."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def infer(self, step_id: str, *, adapter: BaseAdapter, body: dict[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
        """Have the server call a model: nothing runs here meanwhile. Return the provider's answer."""
        step = self._step
        return step._settle(plans.infer(step._counter, step_id, adapter, body))  # noqa: SLF001 - a part of it

    def wrap(
        self, step_id: str, handler: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        """Run a call of an AI library as a step; the arguments are those of the call."""
        return self._step.run(step_id, lambda: handler(*args, **kwargs))
