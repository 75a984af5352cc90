"""What retention deletes, and what it never does: rows are put down, a sweep passes, rows are looked at."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.protocol.ids import UlidSource, ulid
from holdfast.server.config.ages import parse_age
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.flow.batch import Filling
from holdfast.server.engine.flow.debounce import Pending
from holdfast.server.engine.run import Run
from holdfast.server.engine.settings import Settings
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime.partition import Partition
from holdfast.server.runtime.retention import (
    LONG_S,
    QUIET_S,
    REST_BEHIND,
    REST_BUSY,
    REST_IDLE,
    Figures,
    Policy,
    Retention,
)  # fmt: skip
from holdfast.server.store.sql.expiry import SqlExpiry
from holdfast.server.store.sqlite.check import check
from holdfast.server.store.sqlite.readers import Readers
from holdfast.server.store.sqlite.store import SqliteStore

from .harness import begin, event, run, span

NOW = 1_800_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
KINDS = ["events", "event_runs", "runs", "steps", "spans"]


class Shop:
    """A store with a history, a partition over it and a sweeper whose clock stands still."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        self.store = SqliteStore(folder / "main.db", "none")
        self.ids = UlidSource(random.getrandbits)
        self.partition = Partition(lambda epoch: Engine(self.ids, lambda _: 0, Settings(), epoch), self.store)
        self.readers = Readers(self.store.path)
        self.retention = Retention(self.partition, SqlExpiry(self.store, self.readers), policy, lambda: NOW)
        self.functions("fn", "other")

    def functions(self, *slugs: str, archived_at: int | None = None) -> None:
        app = AppRecord("app", "app", "http://x", "serve", "py", "1", "", "", "", "", NOW, None, False)
        records = [FunctionRecord(slug, "app", slug, slug, 1, b"{}", NOW, archived_at) for slug in slugs]
        self.store.save_apps([app], records)

    def run(
        self, age: int, function: str = "fn", status: RunStatus = RunStatus.COMPLETED, events: tuple[str, ...] = (),
        lasted: int = 0, sessions: dict[str, str] | None = None,
    ) -> Run:  # fmt: skip
        """A run that ended `age` ms ago, with a step, a span and its events; by default one event of its own."""
        began = NOW - age - lasted
        changes = Changes()
        own = events or (self.event(age + lasted),)
        made = run(self.ids.next(began), own)
        made.function_id, made.scheduled_at, made.status = function, began, status
        assert made.body is not None
        if sessions:
            made.body.events = [msgspec.json.encode({"meta": {"sessions": sessions}})]
        if status.ended:
            made.ended_at = NOW - age
            changes.new_runs[made.id] = made
            if status is not RunStatus.SKIPPED:
                changes.ended.append(made)
            changes.event_runs += [(id, made.id) for id in own]
        else:
            begin(changes, made)
        changes.steps.append((made.id, 1, "s", b"1", span()))
        changes.spans.append((made.id, 2, None, span()))
        derive(changes)
        self.store.commit(changes)
        return made

    def event(self, age: int, name: str = "go", id: str = "") -> str:
        changes = Changes()
        id = id or self.ids.next(NOW - age)
        made = event(id, name)
        made.received_at = NOW - age
        changes.events.append(made)
        derive(changes)
        self.store.commit(changes)
        return id

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.store._db.execute(sql, parameters).fetchall()

    def runs(self) -> set[str]:
        return {id for (id,) in self.query("SELECT id FROM runs")}

    def events(self) -> set[str]:
        return {id for (id,) in self.query("SELECT id FROM events")}

    def broken(self) -> list[str]:
        """The invariants that don't hold any more."""
        return [f.invariant for f in check(self.store._db, self.store.path, full=True) if f.count]

    async def close(self) -> None:
        await self.retention.close()
        await self.partition.close()
        self.readers.close()
        self.store.close()


def scenario(folder: Path, policy: Policy, play: Callable[[Shop], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        shop = Shop(folder, policy)
        try:
            await play(shop)
            assert shop.broken() == []
        finally:
            await shop.close()

    asyncio.run(main())


def test_ended_runs_go_with_all_that_is_theirs(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        old = [shop.run(8 * DAY, status=status) for status in RunStatus if status.ended]
        young = [shop.run(6 * DAY, status=status) for status in RunStatus if status.ended]
        shop.query("INSERT INTO metadata VALUES (?,'i','','',0,'','','','{}')", old[0].id)
        shop.query("INSERT INTO user_spans VALUES (?,'t','s',0,0,0,'{}')", old[0].id)
        for made in (old[0], young[0]):
            shop.query("INSERT INTO experiment_runs VALUES ('fn','e',?,'a','','[]','{}')", made.id)
            shop.query("INSERT INTO scores VALUES (?,'','good',1)", made.id)
        did = await shop.retention.sweep()
        assert shop.runs() == {made.id for made in young}
        assert (did.runs, did.events) == (len(old), len(old))
        assert did.bytes > 0
        for kind in KINDS:
            assert shop.query(f"SELECT count(*) FROM {kind}") == [(len(young),)]
        for kind in ("experiment_runs", "scores"):
            assert shop.query(f"SELECT run_id FROM {kind}") == [(young[0].id,)]
        assert shop.query("SELECT count(*) FROM metadata") == shop.query("SELECT count(*) FROM user_spans") == [(0,)]
        assert await shop.retention.sweep() == Figures(1)

    scenario(tmp_path, Policy(age=7 * DAY), play)


def test_a_session_goes_with_its_last_run(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.run(8 * DAY, sessions={"chat": "old", "user": "u1"})
        shop.run(8 * DAY, sessions={"chat": "long"})
        shop.run(6 * DAY, sessions={"chat": "long", "user": "u2"})
        await shop.retention.sweep()
        found = shop.query("SELECT key, id FROM event_sessions ORDER BY key")
        assert (
            found == shop.query("SELECT key, id FROM session_runs ORDER BY key") == [("chat", "long"), ("user", "u2")]
        )

    scenario(tmp_path, Policy(age=7 * DAY), play)


def test_a_live_run_stays_however_old_and_so_do_its_events(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shared = shop.event(99 * DAY)
        alive = [
            shop.run(99 * DAY, status=RunStatus.RUNNING, events=(shared,)),
            shop.run(99 * DAY, status=RunStatus.SCHEDULED),
        ]
        shop.run(98 * DAY, events=(shared,))
        did = await shop.retention.sweep()
        assert shop.runs() == {made.id for made in alive}
        assert shared in shop.events()
        assert (did.runs, did.events) == (1, 0)

    scenario(tmp_path, Policy(age=DAY), play)


def test_a_large_run_goes_piece_by_piece(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        small, large = shop.run(3 * DAY), shop.run(2 * DAY)
        changes = Changes()
        changes.steps += [(large.id, seq, f"s{seq}", b'"%s"' % (b"x" * 100_000), span()) for seq in range(10, 30)]
        changes.spans += [(large.id, 40, b'"%s"' % (b"x" * 1_000_000), span()), (large.id, 41, None, span())]
        derive(changes)
        shop.store.commit(changes)
        erase, took = shop.store.erase, list[int]()

        def one_piece(groups: Any, _: float) -> Any:
            assert small.id not in shop.runs() or shop.query(
                "SELECT count(*) FROM steps WHERE run_id = ?", small.id
            ) == [(1,)]
            took.append(len(groups[0]))
            return erase(groups[:1], 0)

        shop.store.erase = one_piece  # type: ignore[method-assign]
        did = await shop.retention.sweep()
        assert (did.runs, len(shop.runs())) == (2, 0)
        assert did.bytes > 3_000_000
        assert len(took) > 20
        assert shop.query("SELECT count(*) FROM steps") == shop.query("SELECT count(*) FROM spans") == [(0,)]

    scenario(tmp_path, Policy(age=DAY), play)


def test_age_counts_from_the_end_of_a_run(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        slept = shop.run(HOUR, lasted=300 * DAY)
        await shop.retention.sweep()
        assert shop.runs() == {slept.id}

    scenario(tmp_path, Policy(age=DAY), play)


def test_an_event_goes_with_the_last_run_that_it_started(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        both = shop.event(3 * DAY)
        shop.run(3 * DAY, events=(both,))
        kept = shop.run(HOUR, lasted=2 * DAY, events=(both,))
        assert (await shop.retention.sweep()).events == 0
        assert shop.events() == {both}
        shop.query("UPDATE runs SET ended_at = 1 WHERE id = ?", kept.id)
        assert (await shop.retention.sweep()).events == 1
        assert not shop.events()

    scenario(tmp_path, Policy(age=DAY), play)


def test_the_newest_runs_of_each_function_stay(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        made = [shop.run((9 - i) * HOUR, status=[*RunStatus][1 + i % 3]) for i in range(9)]
        few = shop.run(900 * DAY, "other")
        live = shop.run(1, status=RunStatus.RUNNING)
        await shop.retention.sweep()
        assert shop.runs() == {*(one.id for one in made[-4:]), few.id, live.id}

    scenario(tmp_path, Policy(runs=4), play)


def test_a_function_has_an_age_of_its_own(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.functions("short", "endless")
        gone = [shop.run(3 * DAY), shop.run(2 * HOUR, "short")]
        kept = [shop.run(HOUR), shop.run(1, "short"), shop.run(900 * DAY, "endless")]
        assert (await shop.retention.sweep()).runs == len(gone)
        assert shop.runs() == {made.id for made in kept}

    scenario(tmp_path, Policy.of(["2d", "short=1h", "endless=off"], 0, 0), play)


def test_events_that_started_nothing_go_by_their_age_internal_ones_too(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.event(2 * DAY)
        shop.event(2 * DAY, "inngest/function.finished")
        kept = {shop.event(HOUR), shop.event(HOUR, "inngest/function.finished")}
        seeded = shop.event(HOUR, id=ulid(NOW - 90 * DAY, 5))  # an id from long ago that came an hour ago
        assert (await shop.retention.sweep()).events == 2
        assert shop.events() == {*kept, seeded}

    scenario(tmp_path, Policy(age=DAY), play)


def test_events_that_are_held_back_stay(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        debounced, batched = shop.event(5 * DAY), shop.event(5 * DAY)
        shop.run(5 * DAY, events=(debounced,))
        shop.run(5 * DAY, events=(batched,))
        alone = shop.event(5 * DAY)
        changes = Changes()
        changes.flow["debounce", "fn"] = Pending("fn", debounced, NOW, NOW, 0)
        changes.flow["debounce", "other"] = Pending("other", alone, NOW, NOW, 0)
        changes.flow["batch", "fn"] = Filling("fn", "b1", NOW)
        changes.batched.append(("b1", 1, batched))
        derive(changes)
        shop.store.commit(changes)
        assert (await shop.retention.sweep()).events == 0
        assert shop.events() == {debounced, batched, alone}

    scenario(tmp_path, Policy(age=DAY), play)


def test_a_rerun_on_its_way_to_the_store_keeps_its_event(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        id = shop.event(5 * DAY)
        shop.run(5 * DAY, events=(id,))
        again = run(shop.ids.next(NOW), (id,))
        changes = shop.partition._engine._core.changes
        begin(changes, again)
        sweeping = asyncio.ensure_future(shop.retention.sweep())
        await asyncio.sleep(0.05)  # the sweep has found the event and waits
        assert id in shop.events()
        shop.partition.changed()
        assert (await sweeping).events == 0
        assert shop.events() == {id}
        assert shop.runs() == {again.id}
        shop.query("UPDATE runs SET function_id = 'fn' WHERE id = ?", again.id)

    scenario(tmp_path, Policy(age=DAY), play)


def test_leftovers_of_functions_go_when_no_run_is_left(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.functions("gone", "used", archived_at=NOW - 9 * DAY)
        shop.functions("new", archived_at=NOW - HOUR)
        shop.run(8 * DAY, "gone")
        shop.run(HOUR, "used")
        shop.query("INSERT INTO crons VALUES ('gone', '* * * * *', 1, 0)")
        await shop.retention.sweep()
        assert {slug for (slug,) in shop.query("SELECT slug FROM functions")} == {"fn", "other", "used", "new"}
        assert shop.query("SELECT * FROM crons") == []

    scenario(tmp_path, Policy(age=7 * DAY), play)


def test_an_archived_app_goes_after_its_last_function(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        for id, archived_at in (("left", NOW - 9 * DAY), ("new", NOW - HOUR), ("used", NOW - 9 * DAY), ("alive", None)):
            app = AppRecord(id, id, f"http://{id}", "serve", "py", "1", "", "", "", "", NOW, archived_at, False)
            own = FunctionRecord(f"of-{id}", id, f"of-{id}", "f", 1, b"{}", NOW, archived_at)
            shop.store.save_apps([app], [] if id == "alive" else [own])
        shop.run(8 * DAY, "of-left")
        kept = shop.run(HOUR, "of-used", lasted=8 * DAY)
        await shop.retention.sweep()
        assert shop.query("SELECT id FROM apps ORDER BY id") == [("alive",), ("app",), ("new",), ("used",)]
        shop.query("UPDATE runs SET ended_at = 1 WHERE id = ?", kept.id)
        await shop.retention.sweep()
        assert shop.query("SELECT id FROM apps ORDER BY id") == [("alive",), ("app",), ("new",)]

    scenario(tmp_path, Policy(age=7 * DAY), play)


def test_the_trace_of_an_event_goes_with_it(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        gone, started = shop.event(9 * DAY), shop.event(9 * DAY)
        shop.run(8 * DAY, events=(started,))
        kept = shop.event(HOUR)
        shop.query("INSERT INTO event_traces VALUES (?,'{}'), (?,'{}'), (?,'{}')", gone, kept, started)
        await shop.retention.sweep()
        assert shop.query("SELECT event_id FROM event_traces") == [(kept,)]

    scenario(tmp_path, Policy(age=7 * DAY), play)


def test_pauses_are_long_on_a_busy_server_and_shorter_when_it_falls_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(shop: Shop) -> None:
        slept = list[float]()

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr("holdfast.server.runtime.retention.asyncio.sleep", sleep)
        retention = shop.retention
        retention._began = time.perf_counter()
        retention._committed = -QUIET_S

        async def rest(took_s: float = 0.002) -> float:
            slept.clear()
            await retention._rest(took_s)
            return sum(slept) / 0.002

        assert await rest() == pytest.approx(REST_IDLE)
        shop.partition.commits += 1
        assert await rest() == pytest.approx(REST_BUSY, rel=0.1)
        assert await rest(1.0) == pytest.approx(REST_BUSY, rel=0.1)  # the machine was busy, not the slice long
        retention._began -= LONG_S
        assert await rest() == pytest.approx(REST_BUSY / 2, rel=0.1)
        retention._began -= 90 * LONG_S
        assert await rest() == pytest.approx(REST_BEHIND, rel=0.1)

    scenario(tmp_path, Policy(age=DAY), play)


def test_keys_and_the_audit_log_go_by_their_own_time(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.query("INSERT INTO idempotency VALUES ('old', '', ?, 0), ('new', '', ?, 0)", NOW - 1, NOW + 1)
        for id, at in (("a", NOW - 2 * DAY), ("b", NOW - HOUR)):
            shop.query(
                "INSERT INTO audit (id, at, actor, action, target, outcome, address) VALUES (?,?,'','','','','')",
                id,
                at,
            )
        await shop.retention.sweep()
        assert shop.query("SELECT key FROM idempotency") == [("new",)]
        assert shop.query("SELECT id FROM audit") == [("b",)]

    scenario(tmp_path, Policy(audit=DAY), play)


def test_the_file_shrinks_and_slices_are_short(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        changes = Changes()
        for i in range(6_000):
            made = run(shop.ids.next(NOW - 9 * DAY + i), (shop.ids.next(NOW - 9 * DAY + i),))
            made.status, made.ended_at = RunStatus.COMPLETED, NOW - 9 * DAY + i
            changes.new_runs[made.id] = made
            changes.ended.append(made)
            old = event(made.body.event_ids[0], json=b'{"pad":"%s"}' % (b"x" * 2_000))  # type: ignore[union-attr]
            changes.events.append(old)
            changes.event_runs.append((old.id, made.id))
        derive(changes)
        shop.store.commit(changes)
        shop.store.log.move()
        before = shop.store.path.stat().st_size
        slices, turns = list[int](), list[int]()
        erase = shop.store.erase

        def counted(groups: Any, budget_s: float) -> Any:
            assert len(turns) == len(slices), "others have their turn between two slices"
            erased = erase(groups, budget_s)
            slices.append(erased.groups)
            asyncio.get_running_loop().call_soon(turns.append, erased.groups)
            return erased

        shop.store.erase = counted  # type: ignore[method-assign]
        assert (await shop.retention.sweep()).runs == 6_000
        shop.store.log.move()
        assert shop.store.path.stat().st_size < before / 2
        assert len(slices) > 30

    scenario(tmp_path, Policy(age=DAY), play)


@pytest.mark.parametrize(
    ("text", "age"), [("30d", 30 * DAY), ("1w", 7 * DAY), ("90m", 90 * 60_000), ("off", None), ("never", None)]
)
def test_ages_are_read(text: str, age: int | None) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "-1d", "0s", "soon"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time span such as"):
        parse_age(text)


def test_a_policy_that_keeps_all_does_nothing(tmp_path: Path) -> None:
    assert not Policy.of([], 0, 0).active
    assert not Policy.of(["off", "fn=never"], 0, 0).active

    async def play(shop: Shop) -> None:
        shop.retention.start()
        assert shop.retention._task is None

    scenario(tmp_path, Policy(), play)


def test_a_sweep_comes_by_itself(tmp_path: Path) -> None:
    async def play(shop: Shop) -> None:
        shop.run(DAY)
        shop.retention.start()
        async with asyncio.timeout(10):
            while shop.runs():  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.02)

    scenario(tmp_path, Policy(age=1), play)
