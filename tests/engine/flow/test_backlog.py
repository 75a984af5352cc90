"""The queue of one function as people see it: what waits for which limit, and what flow control holds."""

from __future__ import annotations

from engine.world import SECOND
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.settings import Settings
from holdfast.server.model.backlog import MOST, Backlog

from .conftest import Make
from .world import FlowWorld, register


def look(world: FlowWorld, slug: str = "app-fn") -> Backlog:
    found = world.engine.view.backlog(f"id-{slug}", world.now)
    assert found is not None
    return found


def test_a_function_that_is_not_registered_has_none(world_of: Make) -> None:
    assert world_of(register()).engine.view.backlog("id-other", 0) is None


def test_nothing_waits(world_of: Make) -> None:
    found = look(world_of(register(concurrency=2)))
    assert (found.running, found.waiting_for_keys, found.keys, found.key_count) == (0, 0, [], 0)


def test_a_key_with_its_holders_and_those_who_wait(world_of: Make) -> None:
    w = world_of(register(concurrency=[{"limit": 1, "key": "event.data.c"}]))
    for n, c in enumerate(["a", "a", "a", "b"]):
        w.event(n=n, c=c)
    w.middle()
    found = look(w)
    assert (found.running, found.waiting_for_keys, found.key_count) == (2, 2, 2)
    busy, calm = found.keys
    assert (busy.expression, busy.value, busy.limit, busy.held, busy.waiting) == ("event.data.c", "a", 1, 1, 2)
    assert busy.holders == (w.live(0).id,)
    assert (calm.value, calm.held, calm.waiting, calm.holders) == ("b", 1, 0, (w.live(3).id,))


def test_a_key_that_functions_share_counts_only_the_ones_of_this(world_of: Make) -> None:
    limit = {"limit": 1, "key": '"all"', "scope": "env"}
    w = world_of(register(concurrency=[limit]), register("app-other", "other", concurrency=[limit]))
    w.event(n=0)
    w.event("other", n=1)
    (mine,), (theirs,) = look(w).keys, look(w, "app-other").keys
    assert (mine.held, mine.waiting, theirs.held, theirs.waiting) == (1, 0, 1, 1)
    assert theirs.holders == (w.live(0).id,)


def test_a_cancelled_run_no_longer_waits(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.event(n=0)
    w.event(n=1)
    assert look(w).waiting_for_keys == 1
    w.cancel(w.live(1))
    assert look(w).waiting_for_keys == 0


def test_the_clock_of_a_throttle(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1m"}))
    for n in range(3):
        w.event(n=n)
    w.middle()
    found = look(w)
    (use,) = found.throttles
    assert (found.waiting_for_throttle, use.waiting, use.first) == (2, 2, w.live(1).id)
    assert use.next_at == w.now + 60 * SECOND
    w.advance(125 * SECOND)
    (use,) = look(w).throttles  # nobody waits, but the clock is not at rest
    assert (use.waiting, use.first, use.next_at - w.now) == (0, None, 55 * SECOND)
    w.advance(60 * SECOND)
    assert look(w).throttles == []


def test_a_rate_limit_that_is_used_up(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 1, "period": "10s", "key": "event.data.c"}))
    assert look(w).rate_limits == []
    w.event(n=0, c="a")
    w.advance(SECOND)
    w.event(n=1, c="b")
    w.middle()
    assert [use.next_at - w.now for use in look(w).rate_limits] == [10 * SECOND, 9 * SECOND]
    w.advance(20 * SECOND)
    assert look(w).rate_limits == []


def test_debounces_that_are_pending(world_of: Make) -> None:
    w = world_of(register(debounce={"period": "5s", "key": "event.data.c", "timeout": "8s"}))
    w.event(n=0, c="a")
    first = w.now
    w.advance(4 * SECOND)
    w.event(n=1, c="a")
    w.middle()
    (use,) = look(w).debounces
    assert (use.value, use.due, use.latest) == ("a", first + 8 * SECOND, first + 8 * SECOND)
    assert use.event_id == w.rows.events[-1].id


def test_batches_that_are_filled(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 4, "timeout": "30s", "key": "event.data.c"}))
    w.event(n=0, c="a")
    w.event(n=1, c="a")
    w.event(n=2, c="b")
    w.middle()
    uses = {use.value: (use.size, use.most, use.due - w.now) for use in look(w).batches}
    assert uses == {"a": (2, 4, 30 * SECOND), "b": (1, 4, 30 * SECOND)}


def test_a_singleton_and_its_holder(world_of: Make) -> None:
    w = world_of(register(singleton={"mode": "skip"}))
    w.event(n=0)
    w.middle()
    (use,) = look(w).singletons
    assert use.run_id == w.live(0).id


def test_a_paused_function(world_of: Make) -> None:
    w = world_of(register())
    w.engine.pause("id-app-fn", Mode.QUEUE, w.now)
    w.event(n=0)
    found = look(w)
    assert (found.paused, found.held_by_pause, found.running) == ("queue", 1, 0)


def test_all_worker_slots_are_taken(world_of: Make) -> None:
    w = world_of(register(), settings=Settings(workers=1))
    w.event(n=0)
    w.event(n=1)
    found = look(w)
    assert (found.workers, found.free, found.running, found.waiting_for_workers) == (1, 0, 1, 1)


def test_long_lists_are_cut_and_counted(world_of: Make) -> None:
    w = world_of(register(debounce={"period": "5s", "key": "event.data.n"}))
    for n in range(MOST + 5):
        w.event(n=n)
    found = look(w)
    assert (len(found.debounces), found.debounce_count) == (MOST, MOST + 5)
