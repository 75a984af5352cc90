"""Calls of user code without a socket: a driver of the server (`holdfast.server.drivers.driver.Driver`)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from functools import partial

import msgspec

from holdfast.protocol.calls import render_headers
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.server.drivers.driver import Done, Request
from holdfast.testing.apps import App, Reply
from holdfast.testing.clock import VirtualClock
from holdfast.testing.mocks import Mocks, told

_PLANNED = "StepPlanned"
_AT_ONCE = b'"disable_immediate_execution":false'
_PLAN_ONLY = b'"disable_immediate_execution":true'


class Made(msgspec.Struct):
    """A call that was made, as it can be made again."""

    run_id: str
    slug: str
    step: str
    headers: Mapping[str, str]
    body: bytes
    reply: Reply


class DirectDriver:
    """Hands calls to an app's handler, answers for mocked steps, and remembers what was called.

    Args:
        app: The app.
        clock: What `Retry-After` counts from.
        mocks: The steps that the test answers for.

    """

    def __init__(self, app: App, clock: VirtualClock, mocks: Mocks) -> None:
        self._app = app
        self._clock = clock
        self._mocks = mocks
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._labels: dict[tuple[str, str], str] = {}  # run id, hashed id: as the code writes it
        self._sdk: Mapping[str, str] = {}  # headers of the last reply, by which the server knows an SDK
        self._ended = asyncio.Event()
        self._context = contextvars.copy_context()  # calls must not see that another call's event caused them
        self.made: list[Made] = []

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._tasks)

    async def one_ends(self) -> None:
        """Wait until one of the calls under way has ended."""
        self._ended.clear()
        await self._ended.wait()

    def call(self, request: Request, done: Done) -> None:
        """Start a call."""
        task = asyncio.get_running_loop().create_task(self._reply(request), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(partial(self._answered, done))

    def abandon(self, run_id: str) -> None:
        """Do nothing: code that runs is not interrupted, over HTTP neither."""

    def forget(self) -> None:
        """Do nothing: the dispatcher drops the outcomes of earlier calls."""

    async def close(self) -> None:
        """Cancel the calls under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def replay(self, made: Made) -> Reply:
        """Make a call again; steps are only reported, not run."""
        return await self._app.call(made.slug, made.step, made.headers, made.body.replace(_AT_ONCE, _PLAN_ONLY, 1))

    def _answered(self, done: Done, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        self._ended.set()
        if not task.cancelled():
            done(self._outcome(task))

    def _outcome(self, task: asyncio.Task[Reply]) -> Outcome:
        error = task.exception()
        if error is not None:
            return transport_failure(f"error performing request: {error!r}")
        reply = task.result()
        return read_response(reply.status, reply.headers, reply.body, self._clock.now_ms())

    async def _reply(self, request: Request) -> Reply:
        context = request.context
        mocked = self._mocked(context.run_id, context.step)
        if mocked is not None:
            return mocked
        headers = _headers(request)
        body = request.body.replace(_AT_ONCE, _PLAN_ONLY, 1) if self._mocks else request.body
        reply = await self._app.call(request.slug, context.step, headers, body)
        self.made.append(Made(context.run_id, request.slug, context.step, headers, body, reply))
        return self._with_mocks(context.run_id, reply) if self._mocks else reply

    def _mocked(self, run_id: str, step: str) -> Reply | None:
        """Answer a call of one step that the test answers for."""
        label = self._labels.get((run_id, step), "") if step else ""
        op = self._mocks.answer(run_id, step, label) if label else None
        return None if op is None else Reply(206, self._sdk, msgspec.json.encode([op]))

    def _with_mocks(self, run_id: str, reply: Reply) -> Reply:
        """Put outputs in the place of what is reported: waits, sleeps and invocations end before they begin."""
        ops = told(reply.body) if reply.status == 206 else []
        self._sdk = reply.headers
        self._labels |= {(run_id, op.id): op.label for op in ops}
        answers = {
            op.id: answer for op in ops
            if op.op != _PLANNED and (answer := self._mocks.answer(run_id, op.id, op.label)) is not None
        }  # fmt: skip
        if not answers:
            return reply
        rest = msgspec.json.decode(reply.body, type=list[dict[str, object]])
        body = msgspec.json.encode([answers.get(str(op.get("id")), op) for op in rest])
        return Reply(reply.status, reply.headers, body)


def _headers(request: Request) -> dict[str, str]:
    """Return the headers of a call as frameworks give them: names in lower case."""
    lines = render_headers(request.context, request.app_id).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    return {name.lower(): value for name, value in headers.items()} | {"x-inngest-server-kind": "dev"}
