"""What a commit adds to the tables of totals, in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

from .harness import KINDS, T0, Bench, begin, event, run


@pytest.fixture(params=[kind for kind in KINDS if "sqlite" in kind])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(request.param, tmp_path)
    yield made
    made.close()


def ended(id: str, status: RunStatus, started_at: int | None, **detail: str) -> Run:
    done = run(id, (f"e-{id}",))
    done.status, done.started_at, done.ended_at = status, started_at, T0 + 9
    done.detail = RunDetail(**detail)  # type: ignore[arg-type]
    return done


def test_totals_are_counts_of_what_was_committed(bench: Bench) -> None:
    """Copies of an event count once, runs when they end: in the turn in which they began, or in a later one."""
    changes = Changes()
    for id in ("r1", "r2", "r3", "d1", "d2"):
        begin(changes, run(id, (f"e-{id}",)))
        changes.events.append(event(f"e-{id}"))
    changes.new_runs["r3"].detail = RunDetail(deferred_from="r0")
    changes.new_runs["d1"].detail = RunDetail(debug_run_id="d")
    changes.new_runs["d2"] = ended("d2", RunStatus.FAILED, T0, debug_run_id="d")
    changes.new_runs["r2"] = ended("r2", RunStatus.CANCELLED, None)
    changes.ended += [changes.new_runs["r2"], changes.new_runs["d2"]]
    changes.events += [event("seeded", deduplicated=True), event("seeded", deduplicated=True), event("e", "other")]
    bench.commit(changes)
    for id, started in (("r1", T0 + 3), ("r3", T0 + 1), ("d1", T0)):
        changes = Changes()
        done = ended(id, RunStatus.COMPLETED, started, debug_run_id="d" if id == "d1" else "")
        changes.touch(done)
        changes.ended.append(done)
        changes.events.append(event("seeded", deduplicated=True))
        bench.commit(changes)
        bench.reopen()
    rows = totals(bench, "SELECT name, n, low, high FROM event_totals ORDER BY name")
    assert rows == [("go", 6, "e-d1", "seeded"), ("other", 1, "e", "e")]
    times = "first_started_at, last_started_at, first_ended_at, last_ended_at"
    rows = totals(bench, f"SELECT bucket, function_id, status, n, {times} FROM run_totals ORDER BY bucket")
    assert rows == [
        ("r1", "fn", 1, 1, T0 + 3, T0 + 3, T0 + 9, T0 + 9),
        ("r2", "fn", 3, 1, None, None, T0 + 9, T0 + 9),
        ("r3", "fn", 1, 1, T0 + 1, T0 + 1, T0 + 9, T0 + 9),
    ]
    assert totals(bench, "SELECT * FROM deferred_runs") == [("r3", "r0")]
    assert totals(bench, "SELECT * FROM debug_runs ORDER BY 1") == [("d1", "fn"), ("d2", "fn")]


def test_runs_of_one_bucket_share_a_total(bench: Bench) -> None:
    for turn in range(3):
        changes = Changes()
        for number in range(4):
            made = ended(f"01AAA-{turn}-{number}", RunStatus.FAILED, T0 + number if turn else None)
            made.ended_at = T0 + 10 * turn + number
            changes.new_runs[made.id] = made
            changes.ended.append(made)
        bench.commit(changes)
    assert totals(bench, "SELECT * FROM run_totals") == [("01AAA", "fn", 2, 12, T0, T0 + 3, T0, T0 + 23)]


def test_a_commit_that_fails_counts_nothing(bench: Bench) -> None:
    changes = Changes()
    changes.events.append(event())
    changes.new_runs["r"] = bad = ended("r", RunStatus.FAILED, T0)
    bad.output = b"\xff"
    changes.ended.append(bad)
    with pytest.raises(StoreError):
        bench.commit(changes)
    assert totals(bench, "SELECT * FROM event_totals") == totals(bench, "SELECT * FROM run_totals") == []


def totals(bench: Bench, query: str) -> list[tuple[object, ...]]:
    store = bench.reopen().store
    assert isinstance(store, SqliteStore)
    return store._db.execute(query).fetchall()
