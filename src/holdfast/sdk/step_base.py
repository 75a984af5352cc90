"""What steps of asynchronous and of synchronous functions share."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.sdk import plans, scores
from holdfast.sdk.consts import Opcode
from holdfast.sdk.experiments import Selection, decide
from holdfast.sdk.middleware import drive
from holdfast.sdk.sending import send_for_step
from holdfast.sdk.serializers import UNTYPED
from holdfast.sdk.timing import after, to_milliseconds
from holdfast.sdk.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.events import Event
    from holdfast.sdk.execution import Execution
    from holdfast.sdk.function import Function
    from holdfast.sdk.timing import Duration


class Signal(msgspec.Struct):
    """A signal that a run waited for, and what came with it."""

    signal: str
    data: Any = None


class StepBase:
    """The plans of a function's steps."""

    def __init__(self, client: Inngest, execution: Execution, counter: plans.StepCounter | None = None) -> None:
        self._client = client
        self._execution = execution
        self._counter = counter or plans.StepCounter()

    @property
    def _target_hashed_id(self) -> str | None:
        """The step that this call is for, by its hashed id; None if the call is to find out what comes next."""
        return self._execution.target

    def _plan_run(
        self,
        step_id: str,
        handler: Callable[..., Any],
        args: tuple[Any, ...],
        output_type: object,
        retries: int | None,
        timeout: Duration | None,
    ) -> plans.Plan:
        client = self._client
        typ = client.type_of(handler, output_type)
        return plans.Plan(
            self._counter.info(step_id, Opcode.STEP_RUN),
            lambda given: handler(*given),
            args,
            lambda memo: client.deserialize(memo, typ),
            lambda output: client.serialize(output, typ),
            retries,
            None if timeout is None else to_milliseconds(timeout) / 1000,
        )

    def _plan_choice(self, experiment_id: str, names: list[str], select: Selection) -> plans.Plan:
        info = self._counter.info(experiment_id, Opcode.STEP_RUN, opts={"type": "group.experiment"})
        return plans.Plan(info, lambda _: decide(experiment_id, names, select, info))

    def _plan_metadata(
        self, step_id: str, values: dict[str, Any], kind: str, of_step: str | None, *, sync: bool
    ) -> plans.Plan:
        def write(_: tuple[Any, ...]) -> Any:
            run_id = self._execution.request.ctx.run_id
            writing = scores.write(self._client, run_id, of_step, kind, values, sync=sync)
            return drive(writing) if sync else writing

        return plans.Plan(self._counter.info(step_id, Opcode.STEP_RUN), write)

    def _plan_send(self, step_id: str, events: Event | list[Event], *, sync: bool) -> plans.Plan:
        def send(_: tuple[Any, ...]) -> Any:
            return send_for_step(self._client, self._execution.middleware, events, sync=sync)

        return plans.Plan(self._counter.info(step_id, Opcode.STEP_RUN), send)

    def _plan_sleep(self, step_id: str, duration: Duration) -> plans.Plan:
        return plans.sleep(self._counter, step_id, after(duration))

    def _plan_sleep_until(self, step_id: str, until: dt.datetime) -> plans.Plan:
        return plans.sleep(self._counter, step_id, until)

    def _plan_signal(
        self, step_id: str, signal: str, timeout: Duration, on_conflict: str, data_type: object
    ) -> plans.Plan:
        def read(memo: Any) -> Signal | None:
            if memo is None:
                return None
            found = msgspec.convert(memo, Signal)
            found.data = from_json(found.data, data_type)
            return found

        return plans.wait_for_signal(self._counter, step_id, signal, timeout, on_conflict, read)

    def _plan_invoke(
        self, step_id: str, function: Function[Any], data: Any, timeout: Duration | None, v: str | None
    ) -> plans.Plan:
        client, typ = self._client, function.output_type_of(self._client)
        data = self._payload(data)
        target = f"{client.app_id}-{function.local_id}"

        def read(memo: Any) -> Any:
            return client.deserialize(memo, typ)

        return plans.invoke(self._counter, step_id, target, data, timeout, v, read)

    def _plan_invoke_by_id(
        self, step_id: str, app_id: str | None, function_id: str, data: Any, timeout: Duration | None, v: str | None
    ) -> plans.Plan:
        target = f"{app_id or self._client.app_id}-{function_id}"
        return plans.invoke(self._counter, step_id, target, self._payload(data), timeout, v)

    def _payload(self, data: Any) -> Any:
        return self._client.serialize(data, UNTYPED)


def fetch_parts(headers: dict[str, str] | None, json: object, body: str | None) -> tuple[dict[str, str], str | None]:
    """Return headers and body of a request that carries JSON or text."""
    found = dict(headers or {})
    if json is None:
        return found, body
    found.setdefault("content-type", "application/json")
    return found, msgspec.json.encode(json).decode()
