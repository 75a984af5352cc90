"""Deferred functions: they run once the run that asked for them has ended, however it ended."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from holdfast.sdk import errors, typed
from holdfast.sdk.consts import Opcode
from holdfast.sdk.execution import CallResult, in_step
from holdfast.sdk.function import Function
from holdfast.sdk.logs import log
from holdfast.sdk.memos import UNSET
from holdfast.sdk.plans import StepInfo, Userland, hash_step_id
from holdfast.sdk.scores import ExperimentRef
from holdfast.sdk.sessions import stamped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.events import Event
    from holdfast.sdk.execution import Execution
    from holdfast.sdk.middleware import MiddlewareManager
    from holdfast.sdk.sessions import EventMeta
    from holdfast.sdk.timings import ServerTimings

T = TypeVar("T")
EVENT: Final = "inngest/deferred.schedule"
_ROUTING: Final = "_inngest"
_REF: Final = "_inngestExperiment"


@dataclasses.dataclass(frozen=True)
class DeferredParent:
    """The run that asked for a deferred one, its function, and the variant that was handed on."""

    fn_slug: str
    run_id: str
    experiment: ExperimentRef | None = None


class DeferredFunction(Function[T]):
    """A function that `ctx.defer` starts."""

    @classmethod
    def like(cls, function: Function[T]) -> DeferredFunction[T]:
        """Return a deferred function with another one's options and handler."""
        made = cls.__new__(cls)
        made.__dict__.update(function.__dict__)
        return made

    async def call(
        self, client: Inngest, ctx: Context, fn_id: str, middleware: MiddlewareManager, timings: ServerTimings
    ) -> CallResult:
        """Run the function with the input as its event's data, and its parents apart."""
        problem = _separate(ctx)
        return CallResult(problem) if problem else await super().call(client, ctx, fn_id, middleware, timings)

    def call_sync(
        self, client: Inngest, ctx: ContextSync, fn_id: str, middleware: MiddlewareManager, timings: ServerTimings
    ) -> CallResult:
        """Run a synchronous function with the input as its event's data, and its parents apart."""
        problem = _separate(ctx)
        return CallResult(problem) if problem else super().call_sync(client, ctx, fn_id, middleware, timings)


class DeferHandle:
    """What was asked for, as long as it can be taken back."""

    def __init__(self, defers: Defers | None = None, hashed_id: str = "", name: str = "", slug: str = "") -> None:
        self._defers, self._hashed_id, self._name, self._slug = defers, hashed_id, name, slug

    def abort(self) -> None:
        """Take it back. Not within a step: in later calls, steps that are done are left out."""
        if self._defers is not None:
            self._defers.abort(self._hashed_id, self._name, self._slug)


class Defers:
    """What one call of a run asks for; it is reported with the call's answer."""

    def __init__(self, execution: Execution, logger: Any, sessions: Mapping[str, str]) -> None:
        self._known = execution.request.defers or {}
        self._logger = logger
        self._sessions = sessions
        self._seen: set[str] = set()
        self.pending: dict[str, StepInfo] = {}

    def add(
        self, name: str, function: object, data: object, meta: EventMeta | None, experiment: ExperimentRef | None
    ) -> DeferHandle:
        """Ask for a run. What can't be asked for is logged, and costs the asking run nothing."""
        try:
            return self._add(name, function, data, meta, experiment)
        except (ValueError, errors.OutputUnserializableError) as error:
            log(self._logger, "error", f"defer skipped: {error}")
            return DeferHandle()

    def abort(self, hashed_id: str, name: str, slug: str) -> None:
        """Take a request back: silently if it has not left yet."""
        if in_step():
            why = "within a step it is not repeated; call abort after the step returns"
            log(self._logger, "error", f"abort skipped: {why}")
            return
        mark = hash_step_id(f"{hashed_id}:abort")
        known = self._known.get(hashed_id)
        if mark in self._seen or (known is not None and not known.abortable):
            return
        self._seen.add(mark)
        if self.pending.pop(hashed_id, None) is None:
            opts = {"target_hashed_id": hashed_id, "fn_slug": slug, "id": name}
            self.pending[mark] = StepInfo(name, mark, name, Opcode.DEFER_ABORT, opts, Userland(name))

    def take(self) -> list[CallResult]:
        """Return what has not been reported yet, to be reported now."""
        found = [CallResult(output=None, step=info) for info in self.pending.values()]
        self.pending.clear()
        return found

    def _add(
        self, name: str, function: object, data: object, meta: EventMeta | None, experiment: ExperimentRef | None
    ) -> DeferHandle:
        if not isinstance(function, DeferredFunction):
            raise ValueError(f"function must be made by create_defer, not {function!r}")
        if in_step():
            raise ValueError("defer within a step is not repeated; call it after the step returns")
        slug = function.id
        hashed_id = _hashed(name)
        if hashed_id in self._seen:
            raise ValueError(f"the id {name!r} is used twice: each defer has an id of its own")
        self._seen.add(hashed_id)
        if hashed_id not in self._known:
            opts: dict[str, Any] = {"fn_slug": slug, "input": _input(data, experiment)}
            if (sent := stamped(cast("dict[str, Any] | None", meta), self._sessions)) is not None:
                opts["meta"] = sent
            self.pending[hashed_id] = StepInfo(name, hashed_id, name, Opcode.DEFER_ADD, opts, Userland(name))
        return DeferHandle(self, hashed_id, name, slug)


def attach(defers: Defers, result: CallResult) -> CallResult:
    """Report what is pending in front of a call's result."""
    pending = defers.take()
    if not pending:
        return result
    if result.multi is not None:
        return CallResult(multi=[*pending, *result.multi])
    return CallResult(multi=[*pending, result if result.step is not None else _ended(result)])


def _ended(result: CallResult) -> CallResult:
    """Return the end of a function as an op, which can stand beside others."""
    op = Opcode.RUN_COMPLETE
    if result.error is not None:
        op = Opcode.STEP_ERROR if errors.is_retriable(result.error) else Opcode.STEP_FAILED
    info = StepInfo("complete", hash_step_id("complete"), "complete", op)
    output = None if result.output is UNSET and result.error is None else result.output
    return CallResult(result.error, output=output, step=info)


def _hashed(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the id of a defer is a text, not {name!r}")
    return hash_step_id(name)


def _input(data: object, experiment: ExperimentRef | None) -> dict[str, Any]:
    found = typed.same_json({} if data is None else data)
    if not isinstance(found, dict):
        raise ValueError("the data of a defer is an object with keys")
    payload = cast("dict[str, Any]", found)
    if _ROUTING in payload or _REF in payload:
        raise ValueError(f"{_ROUTING} and {_REF} are the protocol's own keys")
    if experiment is not None:
        ref = ExperimentRef.model_validate(experiment)
        payload[_REF] = {"experimentName": ref.experiment_name, "variant": ref.variant}
    return payload


def _separate(ctx: Context | ContextSync) -> Exception | None:
    """Take what is the protocol's out of a deferred run's events, and put it into `parents`."""
    try:
        ctx.parents = [_parent(event.data) for event in ctx.events]
    except ValueError as error:
        return errors.BodyInvalidError(f"the event is none of a deferred run: {error}")
    ctx.events = [_plain(event) for event in ctx.events]
    ctx.event = ctx.events[0]
    return None


def _parent(data: Mapping[str, Any]) -> DeferredParent:
    routing, ref = data.get(_ROUTING), data.get(_REF)
    if not isinstance(routing, dict):
        raise ValueError(f"{_ROUTING} is missing")
    about = cast("dict[str, Any]", routing)
    slug, run_id = about.get("parent_fn_slug"), about.get("parent_run_id")
    if not isinstance(slug, str) or not isinstance(run_id, str):
        raise ValueError("parent_fn_slug and parent_run_id are missing")
    if not isinstance(ref, dict):
        return DeferredParent(slug, run_id)
    named = cast("dict[str, Any]", ref)
    return DeferredParent(
        slug, run_id, ExperimentRef(experiment_name=str(named["experimentName"]), variant=str(named["variant"]))
    )


def _plain(event: Event) -> Event:
    data = {key: value for key, value in event.data.items() if key not in {_ROUTING, _REF}}
    return type(event)(name=event.name, data=data, id=event.id, ts=event.ts, v=event.v, meta=event.meta)
