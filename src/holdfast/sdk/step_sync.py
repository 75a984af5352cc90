"""Steps of synchronous functions: those of `Step`, without await."""

from __future__ import annotations

import contextvars
import datetime as dt
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, TypeVarTuple, cast

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


class StepSync(StepBase):
    """The steps of a synchronous function."""

    def __init__(self, client: Inngest, execution: Execution, counter: StepCounter | None = None) -> None:
        super().__init__(client, execution, counter)
        self.ai = AISync(self)

    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *handler_args: *Ts,
        output_type: object = UNTYPED,
        retries: int | None = None,
        timeout: Duration | None = None,
    ) -> T:
        """Run code once: its result is stored, and returned in later calls of the run. See `Step.run`."""
        plan = self._plan_run(step_id, handler, handler_args, output_type, retries, timeout)
        if plan.timeout_s is not None:
            plan.body = _limited(cast("Any", plan.body), plan.timeout_s)
        return cast("T", self._settle(plan))

    def sleep(self, step_id: str, duration: Duration) -> None:
        """Sleep: milliseconds, a timedelta, or a text such as `"3d"`."""
        self._settle(self._plan_sleep(step_id, duration))

    def sleep_until(self, step_id: str, until: dt.datetime) -> None:
        """Sleep until a moment; a naive one is local time."""
        self._settle(self._plan_sleep_until(step_id, until))

    def wait_for_event(self, step_id: str, *, event: str, timeout: Duration, if_exp: str | None = None) -> Event | None:
        """Wait for an event that matches `if_exp`; None if none came in time."""
        plan = plans.wait_for_event(self._counter, step_id, event, if_exp, timeout)
        return cast("Event | None", self._settle(plan))

    def wait_for_signal(
        self,
        step_id: str,
        *,
        signal: str,
        timeout: Duration,
        on_conflict: Literal["fail", "replace"] = "fail",
        data_type: object = UNTYPED,
    ) -> Signal | None:
        """Wait for a signal by its exact name; None if it did not come in time."""
        return cast("Signal | None", self._settle(self._plan_signal(step_id, signal, timeout, on_conflict, data_type)))

    def send_signal(self, step_id: str, *, signal: str, data: object = None) -> str | None:
        """Send a signal; return the id of the run that waited for it, None if none did."""
        return self.run(step_id, self._client.send_signal_sync, signal, data)

    def send_event(self, step_id: str, events: Event | list[Event]) -> list[str]:
        """Send events; return their ids."""
        return cast("list[str]", self._settle(self._plan_send(step_id, events, sync=True)))

    def invoke(
        self,
        step_id: str,
        *,
        function: Function[T],
        data: Mapping[str, object] | Any | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> T:
        """Run another function of this app, and return its result. See `Step.invoke`."""
        return cast("T", self._settle(self._plan_invoke(step_id, function, data, timeout, v)))

    def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        app_id: str | None = None,
        data: Mapping[str, object] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> object:
        """Run a function of this or another app by its id; see `Step.invoke`."""
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
    ) -> FetchResponse:
        """Have the server make a request; every status is an answer. See `Step.fetch`."""
        headers, body = fetch_parts(headers, json, body)
        plan = plans.fetch(self._counter, step_id, method, url, headers, body)
        return cast("FetchResponse", self._settle(plan))

    def metadata(
        self, step_id: str, values: dict[str, Any], *, kind: str = "userland", of_step: str | None = None
    ) -> None:
        """Merge values into what is known of the run, or of one of its steps; `kind` names them (`userland.cost`)."""
        kind = kind if kind.startswith(("userland", "inngest.")) else f"userland.{kind}"
        self._settle(self._plan_metadata(step_id, values, kind, of_step, sync=True))

    def score(self, step_id: str, *, name: str, value: float, of_step: str | None = None) -> None:
        """Store a score of the run, or of one of its steps: a number or a boolean."""
        scores.check_score("run", of_step, name, value)
        self._settle(self._plan_metadata(step_id, {name: {"value": value}}, scores.SCORE, of_step, sync=True))

    def _choose(self, experiment_id: str, names: list[str], select: Selection) -> dict[str, str]:
        return cast("dict[str, str]", self._settle(self._plan_choice(experiment_id, names, select)))

    def _settle(self, plan: Plan) -> object:
        return self._execution.settle_sync(plan)


class AISync:
    """Calls of models."""

    def __init__(self, step: StepSync) -> None:
        self._step = step

    def infer(self, step_id: str, *, adapter: BaseAdapter, body: dict[str, Any]) -> dict[str, Any]:
        """Have the server call a model, and return the provider's answer."""
        step = self._step
        plan = plans.infer(step._counter, step_id, adapter, body)  # noqa: SLF001 - a part of it
        return cast("dict[str, Any]", step._settle(plan))  # noqa: SLF001

    def wrap(self, step_id: str, handler: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of an AI library as a step; the arguments are those of the call."""
        return self._step.run(step_id, lambda: handler(*args, **kwargs))


def _limited(body: Callable[[tuple[Any, ...]], Any], seconds: float) -> Callable[[tuple[Any, ...]], Any]:
    """Give up waiting for a body after some time. Its thread can't be stopped, and ends when it ends."""

    def run(args: tuple[Any, ...]) -> Any:
        outcome: list[Any] = []
        thread = threading.Thread(target=contextvars.copy_context().run, args=(_outcome, body, args, outcome))
        thread.daemon = True
        thread.start()
        thread.join(seconds)
        if not outcome:
            raise TimeoutError(f"the step took longer than {seconds:g} s")
        if outcome[0] is not None:
            raise outcome[0]
        return outcome[1]

    return run


def _outcome(body: Callable[[tuple[Any, ...]], Any], args: tuple[Any, ...], outcome: list[Any]) -> None:
    try:
        result = body(args)
    except BaseException as error:  # noqa: BLE001 - raised again where the step waits
        outcome.append(error)
    else:
        outcome.extend((None, result))
