"""Commits that take their time: what comes meanwhile shares their fate, and nothing is read before it is known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from holdfast.protocol.events import Event, read_events
from holdfast.protocol.functions import FunctionConfig, Step, Trigger
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.responses import Outcome
from holdfast.server.clock import now_ms
from holdfast.server.engine.changes import Changes, Dispatch, Effect
from holdfast.server.engine.engine import DefectError, Engine
from holdfast.server.engine.registry import Function
from holdfast.server.engine.settings import Settings
from holdfast.server.model.span import Call
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import Needs, Recovered, StoreError, Write, needs_none

IDS = UlidSource(lambda bits: (1 << bits) - 1)


def partition(store: SqliteStore) -> Partition:
    steps = (Step("step", "step", "http://app/api?fnId=app-f&stepId=step", None),)
    listening = Function("id-f", "id-app", "app-f", "f", 1, FunctionConfig("app-f", "f", (Trigger(event="go"),), steps))
    owner = Partition(lambda epoch: Engine(IDS, lambda most: 0, Settings(), epoch), store)
    owner.configure = lambda engine, now: engine.configure([listening], now)
    owner.give(owner.configure)
    return owner


def event() -> list[Event]:
    body = b'{"name":"go"}'
    return read_events(body, content_type="application/json", now_ms=now_ms(), new_id=IDS.next).events


class SlowStore(SqliteStore):
    """Writes at once, and says so, or that it failed, when told to."""

    def __init__(self) -> None:
        super().__init__(None, "none")
        self.slow = False
        self.pending: list[asyncio.Future[None]] = []
        self.reads = 0

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> asyncio.Future[None] | None:
        super().commit(changes, writes)
        if not self.slow:
            return None
        self.pending.append(asyncio.get_running_loop().create_future())
        return self.pending[-1]

    def recover(self, needs: Needs = needs_none) -> Recovered:
        self.reads += 1
        return super().recover(needs)


@pytest.fixture
def store() -> Iterator[SlowStore]:
    made = SlowStore()
    yield made
    made.close()


class Calls:
    """Keeps the calls that are to be made."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def perform(self, effect: Effect) -> None:
        self.effects.append(effect)

    def abandon(self, run_id: str) -> None:
        pass

    def forget(self) -> None:
        pass


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def made(store: SlowStore) -> tuple[Partition, Calls]:
    owner = partition(store)
    owner.performer = calls = Calls()
    await owner.committed()
    store.slow = True
    return owner, calls


def test_inputs_that_came_during_a_commit_fail_with_it(store: SlowStore) -> None:
    async def main() -> None:
        owner, _ = await made(store)
        first = asyncio.ensure_future(owner.intake.take(event()))
        await turns()
        second = asyncio.ensure_future(owner.intake.take(event()))
        await turns()
        store.slow = False
        store.pending[0].set_exception(StoreError("the disk failed"))
        for task in (first, second):
            with pytest.raises(StoreError, match="the disk failed"):
                await asyncio.wait_for(task, 5)
        while owner.trouble is not None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        assert len(owner.view.runs()) == 1, "the first one was written, the second one never was"
        await owner.close()

    asyncio.run(main())


def test_a_reload_waits_for_the_commit_under_way(store: SlowStore) -> None:
    async def main() -> None:
        owner, calls = await made(store)
        taking = asyncio.ensure_future(owner.intake.take(event()))
        await turns()

        def broken(engine: Engine, _: int) -> None:
            engine.on_defect(ValueError("a defect"))
            raise DefectError("a defect")

        with pytest.raises(DefectError):
            owner.give(broken)
        await turns(20)
        assert not store.reads
        assert owner.trouble is not None
        store.slow = False
        store.pending[0].set_result(None)
        await asyncio.wait_for(taking, 5)
        await turns()
        assert store.reads == 1
        assert owner.trouble is None
        assert len(owner.view.runs()) == 1
        await owner.close()
        assert len(calls.effects) == 1

    asyncio.run(main())


def test_who_waits_for_an_end_hears_of_it_after_a_reload(store: SlowStore) -> None:
    async def main() -> None:
        owner, calls = await made(store)
        store.slow = False
        await owner.intake.take(event())
        (effect,) = calls.effects
        assert isinstance(effect, Dispatch)
        job = effect.job
        waiting = asyncio.ensure_future(owner.ended(job.run_id))
        await turns()
        store.slow = True
        outcome = Outcome(200, output=b"{}")
        call = Call(job.id, "", job.queued_at, job.due, 0, 0, 0, 200, {}, 2)
        ending = asyncio.ensure_future(
            owner.submit_run(job.run_id, lambda engine, _, now: engine.on_answer(job, outcome, call, now))
        )
        await turns()
        store.slow = False
        store.pending[-1].set_exception(StoreError("the connection broke"))  # though all was written
        with pytest.raises(StoreError):
            await ending
        await asyncio.wait_for(waiting, 5)
        assert not owner.view.runs()
        await owner.close()

    asyncio.run(main())
