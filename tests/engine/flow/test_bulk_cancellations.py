"""Bulk cancellation: all runs of a function of a window (flow-control.md §5.6)."""

from __future__ import annotations

from holdfast.protocol.ids import ulid_time
from holdfast.server.engine.flow import cancellations
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

SECOND = 1_000


def cancel(world: FlowWorld, *, after: int | None = None, before: int | None = None, condition: str = "") -> str:
    id = world.ids.next(world.now)
    before = world.now if before is None else before
    record = BulkCancellation(id, world.now, "id-app", "id-app-fn", "app-fn", after, before, condition)
    world.engine.cancel_many(record, world.now)
    world.turn()
    return id


def spaced(world: FlowWorld, count: int) -> None:
    """Runs 0, 1, … one second apart; the last one has just begun."""
    for n in range(count):
        world.advance(SECOND if n else 0)
        world.event(n=n)


def test_the_window(world_of: Make) -> None:
    w = world_of(register(), register("app-other", "go"))
    start = w.now
    spaced(w, 5)
    w.middle()
    cancel(w, after=start + SECOND, before=start + 3 * SECOND)
    assert w.outcomes(RunStatus.CANCELLED) == [1, 2, 3]
    assert {w.rows.runs[id].function_id for n in (1, 2, 3) for id in w.ids_of(n, "app-other")} == {"id-app-other"}
    assert [ulid_time(w.ids_of(n, "app-fn")[0]) for n in (1, 3)] == [start + SECOND, start + 3 * SECOND]
    w.finish_all()
    assert w.outcomes(RunStatus.COMPLETED).count(1) == 1
    assert len(w.events("inngest/function.cancelled")) == 3


def test_queued_running_and_sleeping_runs(world_of: Make) -> None:
    w = world_of(register(concurrency=[{"limit": 1}]))
    spaced(w, 2)
    w.sleep(0)
    w.event(n=2)
    w.middle()
    assert w.at_work == [1]
    cancel(w)
    assert w.outcomes(RunStatus.CANCELLED) == [0, 1, 2]
    w.calls.clear()
    assert not w.engine._core.runs
    assert not w.engine._core.queue.keys.held


def test_a_condition(world_of: Make) -> None:
    w = world_of(register())
    spaced(w, 4)
    w.middle()
    cancel(w, condition="event.data.n >= 2.0")
    assert w.outcomes(RunStatus.CANCELLED) == [2, 3]
    cancel(w, condition="event.data.missing == 'x'")
    assert w.outcomes(RunStatus.CANCELLED) == [2, 3]


def test_the_first_event_of_a_batch_decides(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "10s"}))
    for n in range(4):
        w.event(n=n)
    w.middle()
    cancel(w, condition="event.data.n == 1.0 || event.data.n == 2.0")
    assert w.outcomes(RunStatus.CANCELLED) == [[2, 3]]


def test_a_window_that_is_not_over_yet(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    cancel(w, before=w.now + 3 * SECOND, condition="event.data.n != 2.0")
    w.middle()
    for n in range(1, 5):
        w.advance(SECOND)
        w.event(n=n)
        assert (n in w.at_work) == (n in {2, 4})
    assert w.outcomes(RunStatus.CANCELLED) == [0, 1, 3]


def test_removed_before_its_window_is_over(world_of: Make) -> None:
    w = world_of(register())
    id = cancel(w, before=w.now + 3 * SECOND)
    w.middle()
    assert w.engine.forget_cancellation(id)
    assert not w.engine.forget_cancellation(id)
    w.turn()
    w.middle()
    w.event(n=0)
    assert w.at_work == [0]
    assert not w.engine._core.bulk.records


def test_later_runs_are_let_be(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    id = cancel(w)
    w.advance(1)
    w.middle()
    w.event(n=1)
    w.restart()
    assert w.outcomes(RunStatus.CANCELLED) == [0]
    (record,) = w.engine._core.bulk.records.values()
    assert (record.id, record.swept) == (id, True)


def test_runs_that_a_pause_holds_back(world_of: Make) -> None:
    w = world_of(register())
    w.pause("app-fn", Mode.QUEUE)
    spaced(w, 3)
    w.middle()
    cancel(w)
    assert w.outcomes(RunStatus.CANCELLED) == [0, 1, 2]
    assert not w.engine._core.pausing.held


def test_slices_and_a_crash_between_them() -> None:
    w = FlowWorld(register(), register("app-other", "other"))
    many = 3 * cancellations.SLICE + 7
    w.burst("go", ({"n": n} for n in range(many)))
    w.burst("other", ({"n": n} for n in range(50)))
    id = w.ids.next(w.now)
    w.engine.cancel_many(BulkCancellation(id, w.now, "id-app", "id-app-fn", "app-fn", None, w.now), w.now)
    cut_off = w.engine.take_cancellations()
    assert len(cut_off) == cancellations.SLICE
    for one in cut_off:
        run = w.engine._core.runs[one.run_id]
        w.load(run)
        w.engine.cancel(run, one.cause, w.now)
    w.rows.commit(w.engine.take_changes())
    assert w.engine.sweeping
    assert len(w.outcomes(RunStatus.CANCELLED)) == cancellations.SLICE
    w.restart()
    assert not w.engine.sweeping
    assert len(w.outcomes(RunStatus.CANCELLED)) == many
    assert len(w.events("inngest/function.cancelled")) == many
    assert len(w.engine._core.runs) == 50
    w.store.close()
