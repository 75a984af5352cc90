"""The app of a simulated life: a driver that answers by a script, late, twice, wrongly or never."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from holdfast.protocol.opcodes import parse_ops
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.server.drivers.driver import Done, Late, Request
from holdfast.server.drivers.http import Answer
from holdfast.server.engine.changes import Perform
from holdfast.server.engine.checkpoints import CheckpointError
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.gateways import Gateways
from holdfast.server.runtime.partition import NotAliveError, Partition

from . import checks, sdk
from .program import Program, hashed

if TYPE_CHECKING:
    from .world import World


class _Sent(msgspec.Struct):
    """What the app reads of a call."""

    steps: dict[str, Raw]


class _Exchange(msgspec.Struct):
    """A call, as its app sees it."""

    request: Request
    done: Done
    program: Program
    ops: list[sdk.Op] | sdk.Reply
    ended: bool = False


class App:
    """The driver of one life of a server. Programs live longer than it: their answers may come to the next life."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._life = world.life

    # --- the driver protocol ------------------------------------------------------------------------------------------

    def call(self, request: Request, done: Done) -> None:
        world = self._world
        run = world.engine.view.run(request.context.run_id)
        assert run is not None
        job = next(i for i in run.open if isinstance(i, Job) and i.id == request.context.job_id)
        checks.at_call(world, run, job)
        program = world.programs[run.function_id]
        memo = self._memo(request, run)
        context = request.context
        world.log(f"{'':>12}  -> call {run.id[-4:]} {program.slug} {name_of(program, context.step)} #{context.attempt}")
        asked = sdk.Asked(
            run.id, context.step, context.attempt, context.max_attempts, context.force_plan,
            frozenset(run.state.defers or ()), memo,
        )  # fmt: skip
        self._start(_Exchange(request, done, program, []), asked)

    def abandon(self, run_id: str) -> None:
        pass  # programs go on: what they say is too late

    def forget(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _memo(self, request: Request, run: Run) -> dict[str, bytes]:
        if request.origin is not None:  # the app of a durable endpoint asks for the steps
            assert run.body is not None
            return dict(run.body.steps)
        return {step: bytes(raw) for step, raw in msgspec.json.decode(request.body, type=_Sent).steps.items()}

    # --- what becomes of a call ---------------------------------------------------------------------------------------

    def _start(self, exchange: _Exchange, asked: sdk.Asked) -> None:
        world, random = self._world, self._world.random
        delay = world.latency()
        if random.random() < world.faults and asked.attempt + 1 < asked.max_attempts:
            self._misbehave(exchange, asked, delay)
            return
        if random.random() < world.faults / 2:  # it waited for a worker that went away
            self._later(delay, exchange, "nobody started", partial(self._end, exchange, None))
            return
        script = sdk.answer(exchange.program, asked)
        exchange.ops = script.reply
        for op in script.checkpoints:
            delay += world.latency()
            sent = random.random() < 0.95
            if sent:
                self._later(delay, exchange, "checkpoint", partial(self._checkpoint, exchange, op))
            if not sent or random.random() < 0.1 + world.faults:  # or its answer is lost: the step comes again
                self._keep(exchange, op)
        for copy in range(2 if random.random() < 0.05 else 1):  # some answers come twice
            delay += world.latency()
            self._later(delay, exchange, "answer", partial(self._answer, exchange, copy))

    @staticmethod
    def _keep(exchange: _Exchange, op: sdk.Op) -> None:
        """A step that the server may not know comes with the answer."""
        ops = exchange.ops if isinstance(exchange.ops, list) else []
        exchange.ops = ops if op in ops else [op, *ops]

    def _later(self, delay: int, exchange: _Exchange, what: str, then: Callable[[], object]) -> None:
        label = f"{what} {exchange.request.context.run_id[-4:]}"
        self._world.later(delay, label, then)

    def _checkpoint(self, exchange: _Exchange, op: sdk.Op) -> None:
        world, context = self._world, exchange.request.context
        ops = parse_ops(json.dumps([op]).encode())

        def save() -> Awaitable[object]:
            return world.partition.submit_run(
                context.run_id, lambda engine, run, now: engine.on_checkpoint(run, ops, context.item, now)
            )

        def refused(error: BaseException | None) -> None:
            assert not isinstance(error, CheckpointError), "a checkpoint was refused"
            if not isinstance(error, NotAliveError):
                self._keep(exchange, op)

        world.ask(save, lambda _: None, refused)

    def _answer(self, exchange: _Exchange, copy: int) -> None:
        ops = exchange.ops
        reply = sdk.reply_of(exchange.program, ops) if isinstance(ops, list) else ops
        outcome = read_response(reply.status, reply.headers, reply.body, self._world.clock.now_ms())
        self._world.log(f"{'':>12}  {reply.status} {reply.body[:90]!r}")
        if copy or (self._gone and self._world.random.random() < 0.5):
            self._late(exchange, outcome)
        else:
            self._end(exchange, outcome)

    @property
    def _gone(self) -> bool:
        return self._life != self._world.life

    def _end(self, exchange: _Exchange, outcome: Outcome | None) -> None:
        if not self._gone and not exchange.ended:
            exchange.ended = True
            exchange.done(outcome)

    def _late(self, exchange: _Exchange, outcome: Outcome) -> None:
        """An answer that its call does not wait for any more."""
        self._world.dispatcher.answer_late(Late(exchange.request.work, None, outcome))

    def _misbehave(self, exchange: _Exchange, asked: sdk.Asked, delay: int) -> None:
        headers = {"x-inngest-sdk": sdk.SDK}
        bad = self._world.random.choice((
            None,
            sdk.Reply(500, b'{"name":"Error","message":"injected"}', headers),
            sdk.Reply(502, b"<html>bad gateway</html>"),
            sdk.Reply(206, b"[{", headers),
            sdk.Reply(206, b'[{"op":"Nonsense"}]', headers),
            sdk.Reply(206, b"[]", headers),
            sdk.Reply(429, b"{}", {**headers, "retry-after": "40"}),
            sdk.Reply(200, b"not from an SDK"),
        ))  # fmt: skip
        if bad is not None:
            exchange.ops = bad
            self._later(delay, exchange, "bad answer", partial(self._answer, exchange, 0))
            return
        broken = transport_failure("Unable to reach SDK URL")
        self._later(delay, exchange, "connection breaks", partial(self._end, exchange, broken))
        script = sdk.answer(exchange.program, asked)
        exchange.ops = [*script.checkpoints, *script.reply] if isinstance(script.reply, list) else script.reply
        if not script.checkpoints or isinstance(script.reply, list):  # the app goes on; its answer comes much too late
            self._later(delay + 1, exchange, "late answer", partial(self._answer, exchange, 1))


class Provider:
    """Who is at the other end of gateway steps: an HTTP client, as far as they use it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def fetch(self, *_: object, **__: object) -> Answer:
        await self._world.sleep(self._world.latency())
        if self._world.random.random() < 0.2:
            raise OSError("no")
        return Answer(200, {}, b"ok")


class Watched(Gateways):
    """Knows which jobs wait for an exchange."""

    def __init__(self, partition: Partition, provider: Provider) -> None:
        super().__init__(partition, provider, Broadcaster())  # type: ignore[arg-type]
        self.jobs: set[int] = set()

    def perform(self, effect: Perform) -> None:
        before = set(self._tasks)
        super().perform(effect)
        (task,) = self._tasks - before
        self.jobs.add(id(effect.job))
        task.add_done_callback(lambda _: self.jobs.discard(id(effect.job)))


def name_of(program: Program, step: str) -> str:
    return next((n.id for n in program.nodes() if n.hash == step), step and hashed(step)[:6]) or "discovery"
