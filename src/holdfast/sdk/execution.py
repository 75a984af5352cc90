"""One call of a function: which steps are done, which one runs now, and what is reported.

A function is run from its start in each call. Steps that are memoised return at once. The first one that is not ends
the call: it runs, or is reported for the server to see to. An asynchronous function may be at several such steps at
once, in tasks of its own: then each waits, and when nothing moves any more, all are reported together.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from holdfast.sdk import errors
from holdfast.sdk.consts import Opcode, ParallelMode
from holdfast.sdk.memos import UNSET, Output, StepMemos
from holdfast.sdk.middleware import StepCall, TransformOutputResult, TransformOutputStepInfo, drive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.sdk.calls import ServerRequest
    from holdfast.sdk.checkpoints import Checkpointer
    from holdfast.sdk.middleware import MiddlewareManager
    from holdfast.sdk.plans import Plan, StepInfo

#: Turns of the event loop without a new step after which a function with several tasks is taken to be waiting.
_QUIET_TURNS: Final = 8
#: The same while it holds steps that nobody awaits yet.
_PATIENT_TURNS: Final = 64
#: Seconds in which a planned step has to be met again while the function waits for something of its own.
_TARGET_GRACE_S: Final = 10.0
#: Seconds that a function's `finally` blocks have when a call ends before it.
_UNWIND_S: Final = 10.0

_in_step: contextvars.ContextVar[bool] = contextvars.ContextVar("holdfast_in_step", default=False)
_group: contextvars.ContextVar[GroupScope | None] = contextvars.ContextVar("holdfast_group", default=None)


@dataclasses.dataclass
class CallResult:
    """What a call gave: of a function if `step` is None, else of a step; several in `multi`."""

    error: Exception | None = None
    multi: list[CallResult] | None = None
    output: object = UNSET
    step: StepInfo | None = None
    #: Start and duration of a step that ran, in nanoseconds.
    timing: tuple[int, int] | None = None
    transformed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return self.error is None and self.multi is None and self.output is UNSET and self.step is None


class Interrupt(BaseException):
    """Ends a call from inside of the function. No `Exception`, so that the function's own handlers let it pass."""

    def __init__(self, results: list[CallResult]) -> None:
        super().__init__("the call ends here")
        self.results = results


class Failure(BaseException):
    """Ends a call with an error that is not the function's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Skip(BaseException):
    """Leaves a member of a parallel group that is not the one to run."""

    def __init__(self, step_id: str) -> None:
        super().__init__(step_id)
        self.step_id = step_id


class Missing:
    """Stands for the output of a group's member that this call has skipped.

    It is seen only if the step that the server wanted is gone from the group. The function may go on to its next step,
    which tells best what has changed; whatever looks at the output before ends the call.
    """

    def __init__(self, step_id: str) -> None:
        object.__setattr__(self, "step_id", step_id)


def _used(missing: Missing, *_: object) -> NoReturn:
    raise Skip(object.__getattribute__(missing, "step_id"))


_LOOKS: Final = """
    add bool call contains delitem eq float format fspath ge getattribute getitem gt hash index int iter le len lt mul
    ne neg radd repr rmul round rsub rtruediv setattr setitem str sub truediv
"""
for _name in _LOOKS.split():
    setattr(Missing, f"__{_name}__", _used)


class _Nested(BaseException):
    """A step was met inside of another one's body."""


class GroupScope:
    """A parallel group that is being gone through, in which task and with which mode."""

    def __init__(self, mode: ParallelMode) -> None:
        self.mode = mode
        self.task = _current_task()
        self.found: list[CallResult] = []


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve a task's exception, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


@dataclasses.dataclass
class _Parked:
    plan: Plan
    waiter: asyncio.Future[None]
    task: asyncio.Task[Any] | None


class Execution:
    """The state of one call."""

    def __init__(
        self,
        request: ServerRequest,
        memos: StepMemos,
        middleware: MiddlewareManager,
        target: str | None,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self.request = request
        self.memos = memos
        self.middleware = middleware
        self.target = target
        self.checkpointer = checkpointer
        self.created = 0
        self.sessions: dict[str, str] = {}
        self._skipped: str | None = None
        self._main: asyncio.Task[Any] | None = None
        self._parked: list[_Parked] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._moves = 0
        self._watching = False
        self._decided: asyncio.Future[CallResult] | None = None

    async def run(self, handler: Callable[[], Awaitable[Any]]) -> CallResult:
        """Run an asynchronous function up to what ends the call."""
        self._decided = asyncio.get_running_loop().create_future()
        self._main = asyncio.create_task(_main(handler))
        self._main.add_done_callback(self._main_done)
        try:
            return await self._decided
        finally:
            await self._unwind()

    def run_sync(self, handler: Callable[[], Any]) -> CallResult:
        """Run a synchronous function up to what ends the call."""
        try:
            return self._returned(handler())
        except BaseException as error:  # noqa: BLE001 - interrupts are none
            return self._ended(error)

    async def settle(self, plan: Plan) -> Any:
        """Take a step of an asynchronous function: return its result, or end the call."""
        self.created -= 1
        self._moves += 1
        if self._decided is not None and self._decided.done():
            raise Interrupt([])
        if _in_step.get():
            raise _Nested
        memo = await self._recall(plan)
        if isinstance(memo, Output):
            return plan.read(memo.data)
        return await self._settle_new(plan)

    def settle_sync(self, plan: Plan) -> Any:
        """Take a step of a synchronous function: return its result, or end the call."""
        if _in_step.get():
            raise _Nested
        memo = drive(self._recall(plan))
        if isinstance(memo, Output):
            return plan.read(memo.data)
        self._check_target(plan)
        self._report_unless_due(plan)
        return drive(self._take(plan))

    async def _recall(self, plan: Plan) -> Output | None:
        memo = self.memos.pop(plan.info.id)
        if self.memos.size == 0:
            await self._go_live()
        if not isinstance(memo, Output):
            return None
        if memo.input is not None:
            _edit(plan, memo.input)
            return None
        if self.middleware.wraps("wrap_step"):
            return Output(data=await self._wrapped(plan, memo))
        return _result_of(memo)

    async def _wrapped(self, plan: Plan, memo: Output) -> object:
        async def recalled() -> object:
            return _result_of(memo).data

        return await self.middleware.wrap("wrap_step", _step_call(plan.info, memoized=True), recalled)()

    async def _go_live(self) -> None:
        if self.middleware.live:
            return
        try:
            await self.middleware.before_execution()
        except Exception as error:
            raise Failure(error) from error

    async def _settle_new(self, plan: Plan) -> Any:
        task = asyncio.current_task()
        scope = _group.get()
        if scope is not None and scope.task is task:
            self._check_target(plan)
            self._report_unless_due(plan)
        elif self._is_alone(task) and (self.target is None or self.target == plan.info.id):
            self._report_unless_due(plan)
        elif self.target is not None and self._is_alone(task):
            raise _unexpected(plan.info.display_name)
        elif self.target != plan.info.id:
            await self._park(plan, task)
        return await self._take(plan)

    def _is_alone(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether the function is at no other step: it has no other tasks that the SDK knows of."""
        return task is self._main and not self._parked and not self.created

    def _check_target(self, plan: Plan) -> None:
        """Leave a step that is not the one that the server wants."""
        if self.target is None or self.target == plan.info.id:
            return
        scope = _group.get()
        if scope is None:
            raise _unexpected(plan.info.display_name)
        self._skipped = plan.info.display_name
        raise Skip(plan.info.display_name)

    def _report_unless_due(self, plan: Plan) -> None:
        """End the call with a report of the step, unless it is to run now."""
        grouped = _group.get() is not None
        forced = self.request.ctx.disable_immediate_execution or grouped
        if self.target is None and plan.body is not None and forced:
            raise Interrupt([_planned(plan)])
        if plan.body is None:
            raise Interrupt([_reported(plan.info)])

    async def _park(self, plan: Plan, task: asyncio.Task[Any] | None) -> None:
        """Wait until it is clear what the call comes to; return if this step is to run."""
        parked = _Parked(plan, asyncio.get_running_loop().create_future(), task)
        self._parked.append(parked)
        if task is not None:
            self._tasks.add(task)
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._watch, self._moves, 0)
        await parked.waiter

    def _watch(self, moves: int, quiet: int) -> None:
        """Look once in each turn of the loop whether the function still moves."""
        if self._decided is None or self._decided.done():
            return
        loop = asyncio.get_running_loop()
        if self._moves != moves:
            loop.call_soon(self._watch, self._moves, 0)
        elif quiet < (_PATIENT_TURNS if self.created else _QUIET_TURNS):
            loop.call_soon(self._watch, moves, quiet + 1)
        else:
            self._watching = False
            self._decide()

    def _decide(self) -> None:
        parked, self._parked = [each for each in self._parked if not each.waiter.done()], []
        if not parked:
            return
        if self.target is not None:
            self._parked = parked
            name = parked[0].plan.info.display_name
            asyncio.get_running_loop().call_later(_TARGET_GRACE_S, self._give_up, name)
        elif len(parked) == 1 and parked[0].plan.body is not None and not self.request.ctx.disable_immediate_execution:
            parked[0].waiter.set_result(None)
        else:
            self._resolve(CallResult(multi=[_planned(each.plan) for each in parked]))

    def _give_up(self, step_id: str) -> None:
        self._resolve(CallResult(_unexpected(step_id).error))

    def _resolve(self, result: CallResult) -> None:
        if self._decided is not None and not self._decided.done():
            self._decided.set_result(result)

    def _main_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError("the function was cancelled from inside")
        else:
            error = task.exception()
        if error is None:
            self._resolve(self._returned(task.result()))
        else:
            self._resolve(self._ended(error))

    def _returned(self, output: object) -> CallResult:
        if self.target is not None:
            missed = self._parked[0].plan.info.display_name if self._parked else self._skipped
            return CallResult(_missing(missed))
        return CallResult(output=output)

    def _ended(self, error: BaseException) -> CallResult:
        if isinstance(error, BaseExceptionGroup):
            return self._ended_by_several(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error, Interrupt):
            return CallResult(multi=error.results)
        if isinstance(error, Failure):
            return CallResult(error.error)
        if isinstance(error, Skip):
            return CallResult(_unexpected(error.step_id).error)
        if isinstance(error, _Nested):
            return CallResult(errors.StepNestedError("Nested steps are not supported."))
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        if isinstance(error, asyncio.CancelledError):
            return CallResult(errors.Error("the function was cancelled"))
        return CallResult(cast("Exception", error))

    def _ended_by_several(self, group: BaseExceptionGroup[BaseException]) -> CallResult:
        found = _first_interrupt(group)
        return CallResult(cast("Exception", group)) if found is None else self._ended(found)

    async def _unwind(self) -> None:
        """End what is left of the function's tasks, and wait for their `finally` blocks."""
        left = {task for task in (*self._tasks, self._main) if task is not None and not task.done()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_UNWIND_S)
        for ended in (*self._tasks, self._main):
            if ended is not None and ended.done() and not ended.cancelled():
                ended.exception()

    async def _take(self, plan: Plan) -> Any:
        """Run a step's body, and end the call with its result; with checkpoints, store it and go on."""
        result = await self._performed(plan)
        checkpointer = self.checkpointer
        if checkpointer is None or not self._may_go_on() or not checkpointer.takes(result):
            return self._end_with(result)
        await transform(self.middleware, result)
        if not await checkpointer.save(result):
            return self._end_with(result)
        return plan.read(checkpointer.recall(result))

    def _may_go_on(self) -> bool:
        return self.target is None and not self.request.ctx.disable_immediate_execution and not self._parked

    def _end_with(self, result: CallResult) -> NoReturn:
        """End the call with one result. The main task unwinds at once; another one lets the request's task decide."""
        task = _current_task()
        if self._decided is not None and task is not None and task is not self._main:
            task.add_done_callback(_retrieve)  # a task that nobody awaits any more is nothing to warn of
            self._resolve(CallResult(multi=[result]))
        raise Interrupt([result])

    async def _performed(self, plan: Plan) -> CallResult:
        started = time.time_ns()
        token = _in_step.set(True)
        try:
            result = CallResult(output=plan.write(await self._body(plan)()), step=plan.info)
        except Exception as error:  # noqa: BLE001 - reported as the step's
            result = self._failed(plan, error)
        except _Nested:
            result = self._failed(plan, errors.StepNestedError("Nested steps are not supported."))
        finally:
            _in_step.reset(token)
        result.timing = started, time.time_ns() - started
        return result

    def _body(self, plan: Plan) -> Callable[[], Awaitable[Any]]:
        async def body() -> Any:
            found = plan.body(plan.args) if plan.body is not None else None
            return await found if inspect.isawaitable(found) else found

        async def limited() -> Any:
            async with asyncio.timeout(plan.timeout_s):
                return await body()

        call_next = limited if plan.timeout_s is not None and self._main is not None else body
        if not self.middleware.wraps("wrap_step"):
            return call_next
        return self.middleware.wrap("wrap_step", _step_call(plan.info, memoized=False), call_next)

    def _failed(self, plan: Plan, error: Exception) -> CallResult:
        ctx = self.request.ctx
        last = ctx.max_attempts is not None and ctx.attempt + 1 >= ctx.max_attempts
        spent = plan.retries is not None and ctx.attempt >= plan.retries
        final = last or spent or not errors.is_retriable(error)
        plan.info.op = Opcode.STEP_FAILED if final else Opcode.STEP_ERROR
        return CallResult(error, step=plan.info)


def in_step() -> bool:
    """Whether this code runs within the body of a step."""
    return _in_step.get()


async def _main(handler: Callable[[], Awaitable[Any]]) -> Any:
    return await handler()


def enter_group(mode: ParallelMode) -> tuple[GroupScope, contextvars.Token[GroupScope | None]]:
    """Begin a parallel group."""
    scope = GroupScope(mode)
    return scope, _group.set(scope)


def leave_group(scope: GroupScope, token: contextvars.Token[GroupScope | None]) -> None:
    """End a parallel group: end the call if members wait."""
    _group.reset(token)
    if scope.found:
        for each in scope.found:
            if each.step is not None:
                each.step.set_parallel_mode(scope.mode)
        raise Interrupt(scope.found)


async def transform(middleware: MiddlewareManager, result: CallResult) -> None:
    """Have middleware change a result. Steps that are planned beside others have nothing that could be changed."""
    parts = result.multi if result.multi is not None else [result]
    for part in parts:
        if (
            part.is_empty
            or part.transformed
            or (len(parts) > 1 and part.step is not None and part.step.op is Opcode.PLANNED)
        ):
            continue
        shown = TransformOutputResult(part.error, part.output, None)
        if part.step is not None:
            shown.step = TransformOutputStepInfo(part.step.display_name, part.step.op, part.step.opts)
        await middleware.transform_output(shown)
        part.error, part.output, part.transformed = shown.error, shown.output, True


def _planned(plan: Plan) -> CallResult:
    if plan.body is not None:
        plan.info.op = Opcode.PLANNED
    return _reported(plan.info)


def _reported(info: StepInfo) -> CallResult:
    return CallResult(output=None, step=info)


def _result_of(memo: Output) -> Output:
    """Return a memo that has a value, or raise the error that it holds."""
    if memo.error is None:
        return memo
    about = memo.error.data
    path = about.get("class") if isinstance(about, dict) else None  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    known = path if isinstance(path, str) else None
    raise errors.step_error(memo.error.message, memo.error.name, memo.error.stack, known)


def _edit(plan: Plan, arguments: list[Any]) -> None:
    """Give a step the arguments that somebody put in place of its own."""
    if plan.info.op is Opcode.INVOKE and plan.info.opts is not None:
        payload = {**plan.info.opts["payload"], "data": arguments[0] if arguments else None}
        plan.info.opts = {**plan.info.opts, "payload": payload}
    else:
        plan.args = tuple(arguments)


def _step_call(info: StepInfo, *, memoized: bool) -> StepCall:
    return StepCall(info.display_name, info.id, info.op, info.opts, memoized)


def _unexpected(step_id: str) -> Failure:
    return Failure(errors.StepUnexpectedError(f'found step "{step_id}" when targeting a different step'))


def _missing(step_id: str | None) -> errors.StepUnexpectedError:
    if step_id is not None:
        return errors.StepUnexpectedError(f'found step "{step_id}" when targeting a different step')
    return errors.StepUnexpectedError("the function ended without the step that was planned before")


def _first_interrupt(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    for error in group.exceptions:
        inner = cast("BaseExceptionGroup[BaseException]", error)
        found = _first_interrupt(inner) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, (Interrupt, Failure, Skip, _Nested)):
            return found
    return None
