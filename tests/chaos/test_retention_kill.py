"""`kill -9` in the midst of sweeps, under load: nothing is half deleted, nothing that is alive is touched."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import threading
import time
import urllib.error
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from api.serving import Served
from holdfast.protocol.ids import ulid
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import Job, JobKind
from holdfast.server.model.run import RunState
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.check import check
from holdfast.server.store.sqlite.store import SqliteStore
from store.harness import begin, event, run, span

if TYPE_CHECKING:
    from pathlib import Path

OLD, SLEEPING, ROUNDS = 8_000, 20, 8
DAY = 24 * 3_600_000


def fill(path: Path, chance: random.Random) -> None:
    """Thousands of runs that ended long ago, some that share events, and a few that sleep for years."""
    store, now = SqliteStore(path, "none"), time.time_ns() // 1_000_000
    store.save_apps(
        [AppRecord("app", "app", "http://127.0.0.1:9/x", "serve", "py", "1", "", "", "", "", now, None, False)],
        [FunctionRecord("fn", "app", "app-fn", "fn", 1, b"{}", now, now)],
    )
    changes, last = Changes(), ""
    for number in range(OLD):
        id = ulid(now - 30 * DAY + number, chance.getrandbits(80))
        own = ulid(now - 30 * DAY + number, chance.getrandbits(80))
        made = run(id, (own, last) if last and number % 3 == 0 else (own,))
        made.status, made.ended_at, made.scheduled_at = RunStatus.COMPLETED, now - 20 * DAY, now - 30 * DAY + number
        changes.events.append(received(own, now - 30 * DAY))
        if number % OLD < SLEEPING:
            made.status, made.ended_at, made.state = RunStatus.RUNNING, None, RunState(request_version=2)
            begin(changes, made, Job(id, 1, JobKind.SLEEP, "j", now + 900 * DAY, now, 5, step="s"))
        else:
            changes.new_runs[id] = made
            changes.ended.append(made)
            changes.event_runs += [(one, id) for one in made.body.event_ids]  # type: ignore[union-attr]
        changes.steps += [(id, seq, f"s{seq}", b'"done"', span()) for seq in (1, 2)]
        last = own
    derive(changes)
    store.commit(changes)
    store.close()


def received(id: str, at: int) -> object:
    made = event(id)
    made.received_at = at
    return made


def broken(path: Path) -> list[object]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [finding for finding in check(db, path, full=True) if finding.count]


def send_until_dead(server: Served, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            server.send("chaos/new", {})
        except (OSError, AssertionError, urllib.error.URLError):
            return
        time.sleep(0.002)


@pytest.mark.slow
def test_a_kill_leaves_whole_runs_and_the_next_sweep_goes_on(tmp_path: Path) -> None:
    seed = int(os.environ.get("HOLDFAST_CHAOS_SEED", random.randrange(2**32)))
    print(f"HOLDFAST_CHAOS_SEED={seed}")  # noqa: T201 - shown if the test fails
    chance = random.Random(seed)
    server = Served(tmp_path, "--retention", "1s")  # a sweep every half second
    fill(server.database, chance)
    left = [OLD]
    for _ in range(ROUNDS):
        server.start()
        stop = threading.Event()
        load = threading.Thread(target=send_until_dead, args=(server, stop))
        load.start()
        time.sleep(0.5 + chance.uniform(0.0, 0.12))  # the first sweep is under way
        server.kill()
        stop.set()
        load.join()
        assert broken(server.database) == []
        left.append(server.query("SELECT count(*) FROM runs")[0][0])
    assert left == sorted(left, reverse=True)
    assert any(SLEEPING < rest < OLD for rest in left), f"no kill fell into a sweep: {left}"
    with server:
        deadline = time.monotonic() + 60
        while server.query("SELECT count(*) FROM runs") != [(SLEEPING,)]:
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.1)
        events = server.query("SELECT count(DISTINCT event_id) FROM event_runs")
        while server.query("SELECT count(*) FROM events") != events:
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.1)
        figures = server.request("GET", "/metrics")[1].decode()
    assert re.search(r"holdfast_retention_events_total [1-9]", figures)
    assert re.search(r"holdfast_retention_failures_total 0", figures)
    assert broken(server.database) == []
    assert server.errors() == []
