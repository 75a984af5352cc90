"""Turns of a partition: what they count, and how long they may hold the loop."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import pytest
from structlog.testing import capture_logs

from holdfast.protocol.events import Event, read_events
from holdfast.protocol.functions import FunctionConfig, Step, Trigger
from holdfast.protocol.ids import UlidSource
from holdfast.server.clock import now_ms
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.registry import Function
from holdfast.server.engine.settings import Settings
from holdfast.server.runtime.intake import SLICE_BYTES, SLICE_S
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.sqlite import log as logs
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError, Write

DEAR = "event.data.ids.all(a, event.data.ids.all(b, a >= 0.0 || b >= 0.0))"


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = SqliteStore(None, "none")
    yield made
    made.close()


def function(number: int, expression: str = "") -> Function:
    slug = f"app-f{number}"
    steps = (Step("step", "step", f"http://app/api?fnId={slug}&stepId=step", None),)
    config = FunctionConfig(slug, slug, (Trigger(event="go", expression=expression),), steps)
    return Function(f"id-{slug}", "id-app", slug, slug, 1, config)


IDS = UlidSource(lambda bits: (1 << bits) - 1)


def partition(store: SqliteStore, *functions: Function) -> Partition:
    owner = Partition(lambda epoch: Engine(IDS, lambda most: 0, Settings(), epoch), store)
    owner.configure = lambda engine, now: engine.configure(functions, now)
    owner.give(owner.configure)
    return owner


def events(count: int, data: object) -> list[Event]:
    body = json.dumps([{"name": "go", "data": data}] * count).encode()
    return read_events(body, content_type="application/json", now_ms=now_ms(), new_id=IDS.next).events


def test_evaluations_that_are_given_up_are_counted_and_some_are_logged(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1, DEAR))
        with capture_logs() as logs:
            for event in events(3, {"ids": list(range(5_000))}):
                await owner.intake.take([event])
        assert not owner.view.live
        assert owner.tally.expressions_exceeded == 3
        (line,) = [line for line in logs if "exceeded its budget" in line["event"]]
        assert line["expression"] == DEAR
        await owner.close()

    asyncio.run(main())


async def longest_gap(done: asyncio.Event) -> float:
    """How long the loop was held at most, in seconds of its thread's CPU time, until `done`.

    Without collections of garbage: one looks at all that the tests before this one have left.
    """
    most = 0.0
    gc.collect()
    gc.disable()
    try:
        while not done.is_set():
            began = time.thread_time()
            await asyncio.sleep(0)
            most = max(most, time.thread_time() - began)
    finally:
        gc.enable()
    return most


async def share_held(owner: Partition, sent: list[Event]) -> float:
    """The longest time for which taking these events held the loop, as a share of all that it took."""
    done = asyncio.Event()
    watching = asyncio.ensure_future(longest_gap(done))
    began = time.thread_time()
    await owner.intake.take(sent)
    took = time.thread_time() - began
    done.set()
    return await watching / took


def test_many_events_for_many_functions_are_taken_in_slices_and_in_order(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, *(function(n) for n in range(20)))
        rounds = [events(150, {}) for _ in range(3)]
        shares = [await share_held(owner, sent) for sent in rounds]
        assert statistics.median(shares) < 1 / 4, "the loop was held"
        assert len(owner.view.runs()) == 20 * 450
        starts = [run.body.event_ids[0] for run in owner.view.runs() if run.body is not None]
        assert list(dict.fromkeys(starts)) == [event.id for sent in rounds for event in sent]
        await owner.close()

    asyncio.run(main())


def test_large_events_are_written_a_few_at_a_time(store: SqliteStore) -> None:
    written: list[int] = []
    commit = store.commit

    def count(changes: Changes, writes: Sequence[Write] = ()) -> asyncio.Future[None] | None:
        written.append(len(changes.events))
        return commit(changes, writes)

    async def main() -> None:
        owner = partition(store)
        store.commit = count  # type: ignore[method-assign]
        await owner.intake.take(events(5, {"text": "x" * (SLICE_BYTES // 2)}))
        await owner.close()

    asyncio.run(main())
    assert [number for number in written if number] == [2, 2, 1]


def test_a_short_request_is_not_held_up_by_long_ones(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, *(function(n) for n in range(20)))
        long = [asyncio.ensure_future(owner.intake.take(events(200, {}))) for _ in range(4)]
        await asyncio.sleep(0.01)
        short = asyncio.ensure_future(owner.intake.take(events(1, {})))
        gone = asyncio.ensure_future(owner.intake.take(events(1, {})))
        await asyncio.sleep(0)
        gone.cancel()  # its client has gone: nobody waits for it
        await short
        assert not any(task.done() for task in long)
        await asyncio.gather(*long)
        await owner.close()

    asyncio.run(main())


def test_one_sender_at_a_time_is_let_go_on(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store)
        intake, went = owner.intake, list[int]()
        owner.intake.spend(perf_counter() - 3 * SLICE_S)

        async def send(number: int) -> None:
            await intake.turn()
            went.append(number)
            intake.spend(perf_counter() - 2 * SLICE_S)

        senders = [asyncio.ensure_future(send(n)) for n in range(3)]
        while not senders[0].done():  # noqa: ASYNC110 - turns are counted, not time
            await asyncio.sleep(0)
        intake.do("other", lambda: None)  # asks whether somebody may go on
        await asyncio.sleep(0)
        assert went == [0]
        senders[1].cancel()
        await asyncio.wait(senders)
        assert went == [0, 2]
        await owner.close()

    asyncio.run(main())


def test_a_sender_that_goes_once_it_was_let_go_on_holds_nobody_up(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store)
        intake = owner.intake
        intake.spend(perf_counter() - 2 * SLICE_S)
        gone, next_one = asyncio.ensure_future(intake.turn()), asyncio.ensure_future(intake.turn())
        while not intake._released:  # noqa: ASYNC110 - turns are counted, not time
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(next_one, 5)
        await owner.close()

    asyncio.run(main())


def test_after_a_failed_commit_a_long_request_is_refused(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        owner = partition(store, *(function(n) for n in range(20)))
        taking = asyncio.ensure_future(owner.intake.take(events(300, {})))
        await asyncio.sleep(0.05)
        kept = len(owner.view.runs())
        assert 0 < kept < 6_000

        def broken(*_: object) -> None:
            raise StoreError("no")

        monkeypatch.setattr(store, "commit", broken)
        with pytest.raises(StoreError):
            await taking
        await owner.close()

    asyncio.run(main())


def test_an_event_that_many_wait_for_is_done_when_its_sender_hears_of_it(store: SqliteStore) -> None:
    async def main() -> None:
        dear = "event.data.ids.all(a, a >= 0.0)"
        owner = partition(store, *(function(n, dear) for n in range(30)))
        await owner.intake.take(events(2, {"ids": list(range(4_000))}))
        assert len(owner.view.runs()) == 60
        assert not owner._engine.fanning_out
        assert store.recover().flow == []
        await owner.close()

    asyncio.run(main())


def test_a_follower_that_fails_costs_nothing_of_the_turn(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1))
        acted: list[object] = []

        class Performer:
            def perform(self, effect: object) -> None:
                acted.append(effect)

            def abandon(self, run_id: str) -> None: ...

            def forget(self) -> None: ...

        def fail(*_: object) -> None:
            raise TypeError("news")

        owner.performer = Performer()
        owner.on_turn = owner.on_activity = fail
        with capture_logs() as logs:
            await owner.intake.take(events(1, {}))
        assert len(acted) == 1
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
            "a turn's activity could not be reported"
        ]
        await owner.close()

    asyncio.run(main())


def test_long_works_wait_for_turns_with_time_and_take_turns_with_senders(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1))
        done: list[int] = []

        def work(number: int) -> None:
            time.sleep(0.006)
            done.append(number)

        def broken() -> None:
            raise ValueError(7)

        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        for number in range(20):
            owner.intake.do("a", partial(work, number))
        owner.intake.do("a", broken)
        assert done == [0], "one is done at once"
        await owner.intake.take(events(1, {}))
        assert len(done) < 20, "a sender does not wait for all of them"
        while not failures:  # noqa: ASYNC110 - a turn each
            await asyncio.sleep(0)
        assert done == list(range(20))
        await owner.close()

    asyncio.run(main())


def test_a_work_that_asks_for_more_goes_on_after_those_that_wait(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1))
        done: list[str] = []

        def first() -> None:
            owner.intake.do("a", lambda: done.append("more"))
            done.append("first")

        owner.intake.do("a", first)
        assert done[0] == "first"
        owner.intake.do("a", lambda: done.append("second"))
        while len(done) < 3:  # noqa: ASYNC110 - a turn each
            await asyncio.sleep(0)
        assert done == ["first", "more", "second"]
        await owner.close()

    asyncio.run(main())


def test_the_long_works_of_one_owner_hold_those_of_another_up_by_one_turn(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1))
        done: list[str] = []

        def work(name: str) -> None:
            time.sleep(0.006)
            done.append(name)

        for number in range(20):
            owner.intake.do("a", partial(work, f"a{number}"))
        owner.intake.do("b", partial(work, "b"))
        while "b" not in done:  # noqa: ASYNC110 - a turn each
            await asyncio.sleep(0)
        assert len(done) <= 3
        await owner.close()

    asyncio.run(main())


def test_an_input_that_took_too_long_is_followed_by_turns_without_any(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1))
        turns, seen = 0, list[int]()

        def work() -> None:
            seen.append(turns)
            time.sleep(5 * SLICE_S)

        for _ in range(3):
            owner.intake.do("a", work)
        while len(seen) < 3:
            await asyncio.sleep(0)
            turns += 1
        assert seen[1] - seen[0] >= 4
        assert seen[2] - seen[1] >= 4
        await owner.close()

    asyncio.run(main())


def test_the_end_of_a_checkpoint_leaves_the_loop_and_commits_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "main.db")
        monkeypatch.setattr(logs, "CHECKPOINT_PAGES", 50)
        owner = partition(store)
        threads, go_on, began = list[str](), threading.Event(), threading.Event()
        move = store.log.move

        def slow() -> None:
            threads.append(threading.current_thread().name)
            if len(threads) == 2:
                began.set()
                go_on.wait(10)
            move()

        monkeypatch.setattr(store.log, "move", slow)
        while not began.is_set():
            await owner.intake.take(events(1, {"x": "x" * 10_000}))
        assert threading.current_thread().name not in threads
        commits = owner.commits
        waiting = asyncio.ensure_future(owner.intake.take(events(1, {})))
        await asyncio.sleep(0.05)
        assert owner.commits == commits
        assert not waiting.done()
        go_on.set()
        await waiting
        pages = store.log_pages
        await owner.intake.take(events(1, {}))
        assert store.log_pages <= pages, "the log starts over"
        await owner.close()
        store.close()

    asyncio.run(main())
