"""What apps do in a simulated life: they answer by a script, late, twice, wrongly or never."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
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
    """What an app reads of a call."""

    steps: dict[str, Raw]


def read(world: World, request: Request) -> tuple[Program, Job, sdk.Asked]:
    """Check a call, and return what it asks of which program."""
    context = request.context
    run = world.engine.view.run(context.run_id)
    assert run is not None
    job = next(i for i in run.open if isinstance(i, Job) and i.id == context.job_id)
    checks.at_call(world, run, job)
    program = world.programs[run.function_id]
    world.log(f"{'':>12}  -> call {run.id[-4:]} {program.slug} {name_of(program, context.step)} #{context.attempt}")
    asked = sdk.Asked(
        run.id, context.step, context.attempt, context.max_attempts, context.force_plan,
        frozenset(run.state.defers or ()), _memo(request, run),
    )  # fmt: skip
    return program, job, asked


def _memo(request: Request, run: Run) -> dict[str, bytes]:
    if request.origin is not None:  # the app of a durable endpoint asks for the steps
        assert run.body is not None
        return dict(run.body.steps)
    return {step: bytes(raw) for step, raw in msgspec.json.decode(request.body, type=_Sent).steps.items()}


def play(world: World, program: Program, item: str, asked: sdk.Asked) -> tuple[int, Callable[[], sdk.Reply]]:
    """Do what a call asks for, and report checkpoints. Return when it is done, and the answer then.

    Steps whose checkpoints were not accepted by then are part of the answer, and some that were, too.
    """
    script, random = sdk.answer(program, asked), world.random
    delay, again = world.latency(), list[sdk.Op]()
    for op in script.checkpoints:
        delay += world.latency()
        if random.random() < 0.95:
            world.later(
                delay, f"checkpoint {asked.run_id[-4:]}", partial(_checkpoint, world, asked.run_id, item, op, again)
            )
        else:
            again.append(op)
        if op not in again and random.random() < 0.1 + world.faults:  # its answer is lost
            again.append(op)

    def answer() -> sdk.Reply:
        if again:
            steps = [op for op in script.checkpoints if op in again]
            return sdk.reply_of(program, [*steps, *(script.reply if isinstance(script.reply, list) else ())])
        return sdk.reply_of(program, script.reply) if isinstance(script.reply, list) else script.reply

    return delay, answer


def _checkpoint(world: World, run_id: str, item: str, op: sdk.Op, again: list[sdk.Op]) -> None:
    ops = parse_ops(json.dumps([op]).encode())

    def save() -> Awaitable[object]:
        return world.partition.submit_run(run_id, lambda engine, run, now: engine.on_checkpoint(run, ops, item, now))

    def refused(error: BaseException | None) -> None:
        assert not isinstance(error, CheckpointError), "a checkpoint was refused"
        if not isinstance(error, NotAliveError):
            again.append(op)

    world.ask(save, lambda _: None, refused)


def bad_reply(random: Random) -> sdk.Reply | None:
    """Return an answer as an app may give that is broken; None for none."""
    headers = {"x-inngest-sdk": sdk.SDK}
    return random.choice((
        None,
        sdk.Reply(500, b'{"name":"Error","message":"injected"}', headers),
        sdk.Reply(502, b"<html>bad gateway</html>"),
        sdk.Reply(206, b"[{", headers),
        sdk.Reply(206, b'[{"op":"Nonsense"}]', headers),
        sdk.Reply(206, b"[]", headers),
        sdk.Reply(429, b"{}", {**headers, "retry-after": "40"}),
        sdk.Reply(200, b"not from an SDK"),
    ))  # fmt: skip


class App:
    """The driver of one life of a server. Programs live longer than it: their answers may come to the next life."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._life = world.life

    # --- the driver protocol ------------------------------------------------------------------------------------------

    def call(self, request: Request, done: Done) -> None:
        program, job, asked = read(self._world, request)
        random, delay = self._world.random, self._world.latency()
        once = _Once(done)
        if random.random() < self._world.faults and job.attempt + 1 < job.max_attempts:
            self._misbehave(program, request, asked, once)
        elif random.random() < self._world.faults / 2:  # it waited for a worker that went away
            self._later(delay, request, "nobody started", partial(self._end, once, None))
        else:
            delay, answer = play(self._world, program, request.context.item, asked)
            for copy in range(2 if random.random() < 0.05 else 1):  # some answers come twice
                delay += self._world.latency()
                late = copy > 0
                self._later(delay, request, "answer", partial(self._answer, request, once, answer, late=late))

    def abandon(self, run_id: str) -> None:
        pass  # programs go on: what they say is too late

    def forget(self) -> None:
        pass

    async def close(self) -> None:
        pass

    # --- what becomes of a call ---------------------------------------------------------------------------------------

    def _later(self, delay: int, request: Request, what: str, then: Callable[[], object]) -> None:
        self._world.later(delay, f"{what} {request.context.run_id[-4:]}", then)

    def _answer(self, request: Request, once: _Once, answer: Callable[[], sdk.Reply], *, late: bool = False) -> None:
        reply = answer()
        outcome = read_response(reply.status, reply.headers, reply.body, self._world.now)
        self._world.log(f"{'':>12}  {reply.status} {reply.body[:90]!r}")
        if late or (self._gone and self._world.random.random() < 0.5):
            self._world.dispatcher.answer_late(Late(request.work, None, outcome))
        else:
            self._end(once, outcome)

    @property
    def _gone(self) -> bool:
        return self._life != self._world.life

    def _end(self, once: _Once, outcome: Outcome | None) -> None:
        if not self._gone:
            once(outcome)

    def _misbehave(self, program: Program, request: Request, asked: sdk.Asked, once: _Once) -> None:
        bad, delay = bad_reply(self._world.random), self._world.latency()
        if bad is not None:
            self._later(delay, request, "bad answer", partial(self._answer, request, once, lambda: bad))
            return
        broken = transport_failure("Unable to reach SDK URL")
        self._later(delay, request, "connection breaks", partial(self._end, once, broken))
        takes, answer = play(self._world, program, request.context.item, asked)  # the app goes on
        late = partial(self._answer, request, once, answer, late=True)
        self._later(delay + takes, request, "late answer", late)


class _Once:
    """Ends a call the first time."""

    def __init__(self, done: Done) -> None:
        self._done: Done | None = done

    def __call__(self, outcome: Outcome | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome)


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
