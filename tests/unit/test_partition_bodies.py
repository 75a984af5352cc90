"""Runs whose bodies come later, as over a network: what is for them waits, in order, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from holdfast.protocol.events import Event
from holdfast.protocol.functions import Cancel, FunctionConfig, Step, Trigger
from holdfast.protocol.ids import UlidSource
from holdfast.server.engine.changes import Dispatch, Effect
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Body, Run
from holdfast.server.engine.settings import Settings
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

T0 = 1_700_000_000_000
_IDS = UlidSource(lambda bits: (1 << bits) - 1)


class LateBodies(SqliteStore):
    """Bodies come when the test says so."""

    def __init__(self) -> None:
        super().__init__(None, "none")
        self.asked: list[asyncio.Future[Body]] = []

    def load_body(self, run_id: str) -> asyncio.Future[Body]:  # type: ignore[override]
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]


class Scene:
    """A partition with one run, whose body is in the store only."""

    def __init__(self, store: LateBodies) -> None:
        self.store = store
        self.calls: list[Dispatch] = []
        self.owner = Partition(lambda epoch: Engine(_IDS, lambda _: 0, Settings(), epoch), store)
        self.owner.performer = self
        self.owner.configure = lambda engine, now: engine.configure([_function()], now)
        self.owner.give(self.owner.configure)

    def perform(self, effect: Effect) -> None:
        assert isinstance(effect, Dispatch)
        self.calls.append(effect)

    def abandon(self, run_id: str) -> None: ...

    def forget(self) -> None: ...

    async def send(self, name: str) -> None:
        id = _IDS.next(self.owner.now())
        event = Event(id, name, id, T0, T0, f'{{"name":"{name}","data":{{}}}}'.encode())
        await self.owner.submit(lambda engine, now: engine.on_event(event, now))

    async def parked(self) -> Run:
        await self.send("go")
        (run,) = self.owner.view.runs()
        run.body = None
        return run

    def answer(self, *steps: str) -> None:
        self.store.asked[-1].set_result(Body([b'{"name":"go","data":{}}'], dict.fromkeys(steps, b"1")))


def _function() -> Function:
    steps = (Step("step", "step", "http://app/api", None),)
    config = FunctionConfig("app-f", "f", (Trigger(event="go"),), steps, cancel=(Cancel(event="stop"),))
    return Function("id-f", "id-app", "app-f", "f", 1, config)


@pytest.fixture
def store() -> Iterator[LateBodies]:
    made = LateBodies()
    yield made
    made.close()


def play(store: LateBodies, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        made = Scene(store)
        await scene(made)
        await made.owner.close()

    asyncio.run(main())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_inputs_for_the_run_wait_in_order_and_others_do_not(store: LateBodies) -> None:
    async def scene(it: Scene) -> None:
        run, went = await it.parked(), list[int]()
        waiting = asyncio.ensure_future(it.owner.submit_run(run.id, lambda _, __, ___: went.append(1)))
        await turns()
        it.owner.give_run(run.id, lambda _, __, ___: went.append(2))
        body = asyncio.ensure_future(it.owner.body(run))
        await it.send("other")
        assert went == []
        assert len(store.asked) == 1, "it is read once"
        it.answer()
        await waiting
        assert went == [1, 2]
        assert (await body).events == [b'{"name":"go","data":{}}']

    play(store, scene)


def test_a_turn_that_cancels_is_committed_with_the_end_of_the_run(store: LateBodies) -> None:
    async def scene(it: Scene) -> None:
        run = await it.parked()
        commits = it.owner.commits
        sending = asyncio.ensure_future(it.send("stop"))
        await turns()
        late = asyncio.ensure_future(it.send("other"))
        await turns()
        assert not sending.done()
        assert it.owner.commits == commits, "the event alone would forget whom it cancels"
        it.answer()
        await asyncio.gather(sending, late)
        assert it.owner.commits == commits + 1
        assert not it.owner.view.alive(run.id)
        assert store.load_ended(run.id) is not None

    play(store, scene)


def test_a_step_that_was_saved_while_the_body_was_read_is_not_missed(store: LateBodies) -> None:
    async def scene(it: Scene) -> None:
        run = await it.parked()
        body = asyncio.ensure_future(it.owner.body(run))
        await turns()
        run.step_count = 1  # as a wait that ends meanwhile makes it
        it.answer()
        await turns(8)
        assert not body.done()
        assert len(store.asked) == 2, "read again after the commit"
        it.answer("s")
        assert list((await body).steps) == ["s"]

    play(store, scene)


def test_who_waits_for_a_body_that_cannot_be_read_is_told(store: LateBodies) -> None:
    async def scene(it: Scene) -> None:
        run = await it.parked()
        waiting = asyncio.ensure_future(it.owner.submit_run(run.id, lambda _, __, ___: None))
        sending = asyncio.ensure_future(it.send("stop"))
        await turns()
        store.asked[0].set_exception(StoreError("away"))
        for refused in (waiting, sending):
            with pytest.raises(StoreError):
                await refused
        assert it.owner.failures == 1
        while it.owner.trouble is not None:  # noqa: ASYNC110 - it is read again by itself
            await asyncio.sleep(0.01)
        await it.send("other")
        assert it.owner.view.alive(run.id), "nothing of it was written"

    play(store, scene)
