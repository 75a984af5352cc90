"""What must hold at every moment of a simulated life, and at its end."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.core import APP_KEY
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind, encode_row
from holdfast.server.model.run import decode_detail, decode_state
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime.dispatcher import NO_FUNCTION

from .program import walk

if TYPE_CHECKING:
    from .world import World

ENDS = {
    RunStatus.COMPLETED: "Completed",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Cancelled",
    RunStatus.SKIPPED: "Skipped",
}

#: How many runs an event, with its copies, may start where flow control has a say.
STARTS = {"rate limit": (0, 1), "debounce": (0, 9), "batch": (1, 9), "singleton": (1, 9)}


def after_commit(world: World, changes: Changes) -> None:
    """Terminal stays terminal; whom an event cancels is cancelled with it."""
    ended = world.ledger.ended
    for run in (*changes.new_runs.values(), *changes.runs.values()):
        assert run.id not in ended, f"run {run.id} changed after its end"
        if run.status.ended:
            ended[run.id] = run.status
            world.log(f"{'':>12}  run {run.id[-4:]} {ENDS[run.status]}")
    for event in changes.events:
        if event.name == "stop":
            key = json.loads(event.json)["data"]["k"]
            for run in world.engine._core.runs.values():
                pauses = [p for p in run.open if isinstance(p, Pause) and p.kind is PauseKind.CANCEL]
                assert (
                    not any(p.expires >= event.received_at for p in pauses)
                    or run.id > event.id
                    or key != _k(world, run)
                )


def after_turn(world: World) -> None:
    """Each open item is where something will come upon it, once; nothing is held that is not needed."""
    core = world.engine._core
    queue = core.queue
    timers = {id(item) for _, _, item in queue.timers._heap}
    waiting = [entry for backlog in queue.slots._backlog.values() for _, _, entry in backlog]
    blocked = [e for groups in queue.keys._blocked.values() for heap in groups.values() for _, _, e in heap]
    leases = list(queue.leases.values())
    throttled = [entry for heap in core.throttles._waiting.values() for _, _, entry in heap]
    paused = [entry for entries in core.pausing.held.values() for entry in entries.values()]
    places = Counter(id(entry.job) for entry in (*waiting, *blocked, *throttled, *paused, *leases))
    for run in core.runs.values():
        items = list(run.open)
        assert any(i.kind is not PauseKind.CANCEL for i in items), f"nothing will wake run {run.id}"
        for item in items:
            if isinstance(item, Pause):
                assert item.kind is PauseKind.CANCEL or id(item) in timers, f"{item} will never end"
            elif item.kind is not JobKind.SYNC:
                found = places[id(item)] + (id(item) in timers)
                if item.op and not found:
                    assert id(item) in world.gateways.jobs, f"{item} is lost"
                else:
                    assert found == 1, f"{item} is in {found} places"
        assert run.leased == sum(entry.job.run_id == run.id for entry in leases)
    assert queue.slots.free == world.settings.workers - len(leases)
    held = Counter(limit.key for entry in (*leases, *waiting) for limit in entry.claims)
    held.update(key for run in core.runs.values() for key in run.state.holds or ())
    assert held == queue.keys.held
    assert all(core.current(entry.job) for entry in leases)
    limits = Counter(limit for entry in (*leases, *waiting) for limit in entry.limits)
    for limit in limits:  # functions may share a key, each with its own limit
        if limit.key.startswith(APP_KEY):  # what workers take falls below what they have when one leaves
            continue
        assert (
            sum(n for other, n in limits.items() if other.key == limit.key and other.limit <= limit.limit)
            <= limit.limit
        )
    assert queue.slots.free == 0 or all(queue.slots.sated(entry.function_id) for entry in waiting)
    if world.random.random() < 0.05:
        same_as_reloaded(world)


def same_as_reloaded(world: World) -> None:
    """Memory is what a reload would give. (If the clock went back: from the next input on, which tells the engine.)"""
    if world.engine._core.now > world.now:
        return
    twin = world.twin()
    live, loaded = world.engine._core, twin._core
    assert live.runs.keys() == loaded.runs.keys()
    for id, run in live.runs.items():
        mine, theirs = _picture(run), _picture(loaded.runs[id])
        if world.went_back:  # a moment that lies in the future is taken for now whenever it is read
            theirs["scheduled_at"] = mine["scheduled_at"]
        assert mine == theirs, {k: (mine[k], theirs[k]) for k in mine if mine[k] != theirs[k]}
        if run.body is not None:
            body = world.store.body(id)
            assert run.body.events == body.events
            assert list(run.body.steps.items()) == list(body.steps.items())
    assert len(live.waits) == len(loaded.waits)
    for name in ("signals", "correlations"):
        waits, others = getattr(live.waits, name), getattr(loaded.waits, name)
        assert {k: (p.run_id, p.no) for k, p in waits.items()} == {k: (p.run_id, p.no) for k, p in others.items()}
    assert world.engine.crons._last.items() <= twin.crons._last.items()
    # What a clock ahead gave a later end is brought back whenever it is read, and not stored again.
    assert world.went_back or live.seen._keys == loaded.seen._keys
    assert world.went_back or live.debounces.pending == loaded.debounces.pending
    assert live.debounces.pending.keys() == loaded.debounces.pending.keys()
    assert live.batches.filling == loaded.batches.filling
    assert live.singletons.holders == loaded.singletons.holders


def _picture(run: Run) -> dict[str, object]:
    names = ("function_id", "app_id", "scheduled_at", "status", "started_at", "event_name", "cron",
             "original_run_id", "seq", "step_count", "state_size")  # fmt: skip
    return {
        **{name: getattr(run, name) for name in names},
        "pending": run.pending or set(),
        "detail": msgspec.json.encode(run.detail),
        "state": msgspec.json.encode(run.state),
        "open": {item.no: encode_row(item) for item in run.open},
    }


def at_call(world: World, run: Run, job: Job) -> None:
    """A call carries all that was committed, and asks for nothing that is done."""
    body = world.store.body(run.id)
    fresh = [(step, output) for id, _, step, output, _ in world.engine._core.changes.steps if id == run.id]
    assert run.body is not None
    assert list(run.body.steps.items()) == [*body.steps.items(), *fresh], "a call without what was saved"
    assert run.body.events == body.events
    assert job.op or not job.step or job.step not in body.steps, "a memoised step is asked for again"


def at_rest(world: World) -> None:
    """The end: every run ended as it had to, everything promised was done, nothing is left."""
    core, db = world.engine._core, world.store._db
    assert not core.runs, [(run.id, list(run.open)) for run in core.runs.values()]
    assert not core.queue.leases
    assert not core.queue.keys.held
    assert not core.queue.keys._blocked
    assert not core.queue.slots._backlog
    assert core.queue.slots.free == world.settings.workers
    assert not len(core.waits)
    flow = (core.debounces.pending, core.batches.filling, core.singletons.holders, core.throttles._waiting)
    assert not any(flow)
    for table in ("jobs", "pauses"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    if world.fleet is not None:
        world.fleet.at_rest()
    stored = {id for (id,) in db.execute("SELECT id FROM events")}
    assert world.ledger.accepted <= stored, "an accepted event was lost"
    _check_starts(world)
    for row in db.execute("SELECT id, function_id, status, output, detail, state FROM runs").fetchall():
        _check_run(world, *row)
    for id, function_id, took in db.execute("SELECT id, function_id, ended_at - started_at FROM runs WHERE status < 3"):
        # Six hours, and what a clock that jumps may add to the last of them.
        assert world.features[function_id] != "timeouts" or took <= 9 * 3_600_000, f"run {id} was not timed out"
    _check_lifecycle(world)


def _check_starts(world: World) -> None:
    """Each event started each of its functions once; so did all copies of an event with an id."""
    db = world.store._db
    listens = {f.id: t.event for f in world.functions for t in f.config.triggers if t.event}
    started = Counter[tuple[str, str]]()
    rows = db.execute(
        "SELECT e.name, e.external_id, r.function_id FROM event_runs x JOIN events e ON e.id = x.event_id"
        " JOIN runs r ON r.id = x.run_id"
    )
    for name, external, function_id in rows:
        if name == listens.get(function_id):
            started[external, function_id] += 1
    for name, external in set(db.execute("SELECT name, external_id FROM events")):
        for function_id, event in listens.items():
            if name == event:
                least, most = STARTS.get(world.features[function_id], (1, 1))
                count = started[external, function_id]
                assert least <= count <= most, f"{name} {external} started {function_id} {count} times"


def _check_run(
    world: World, id: str, function_id: str, status: int, output: str | None, detail: str, state: str
) -> None:
    program = world.programs[function_id]
    db = world.store._db
    memo = {
        s: o.encode() for s, o in db.execute("SELECT step_id, output FROM steps WHERE run_id=? ORDER BY seq", (id,))
    }
    count = db.execute("SELECT count(*) FROM steps WHERE run_id=?", (id,)).fetchone()[0]
    assert count == len(memo), f"a step of {id} was saved twice"
    nodes = {node.hash: node for node in program.nodes()}
    assert memo.keys() <= nodes.keys()
    for hashed, stored in memo.items():
        _check_step(nodes[hashed].kind, nodes[hashed].fails, nodes[hashed].id, stored)
    assert RunStatus(status).ended, f"run {id} never ended"
    assert world.ledger.ended[id] == status
    if status == RunStatus.SKIPPED:
        assert world.features[function_id] == "singleton"
        assert not memo
        return
    if status == RunStatus.CANCELLED:
        cause = decode_detail(detail).cancelled_by
        names = [n for (n,) in db.execute("SELECT name FROM events WHERE id=?", (cause,))]
        feature = world.features[function_id]
        others = {"timeouts": cause.endswith("-timeout"), "singleton cancel": names[:1] in (["go/0"], ["go/1"])}
        assert cause == "api" or names == ["stop"] or others.get(feature)
        return
    assert id not in world.ledger.cancelled, "an accepted cancellation was lost"
    if id in world.ledger.broken:
        return
    if status == RunStatus.FAILED and NO_FUNCTION in (output or ""):
        assert function_id not in {function.id for function in world.functions}
        return
    way = walk(program, memo)
    assert way.done or way.thrown, f"run {id} ended as {ENDS[RunStatus(status)]}, but its program had not"
    assert status == (RunStatus.FAILED if way.thrown else RunStatus.COMPLETED), f"run {id}: {output}"
    if status == RunStatus.COMPLETED and "sync_url" not in state:
        assert output == json.dumps({"done": program.slug})


def _check_step(kind: str, fails: int, name: str, stored: bytes) -> None:
    value = json.loads(stored)
    if kind == "run":
        assert value == {"data": {"of": name}} if fails < 99 else "error" in value, (name, stored)
    elif kind == "sleep":
        assert value is None
    elif kind == "wait":
        assert value is None or value["name"].startswith("w/")
    elif kind == "signal":
        assert value is None or value["data"]["data"] == {"n": 1}
    else:
        assert set(value) in ({"data"}, {"error"})


def _check_lifecycle(world: World) -> None:
    """Every end was told once, unless nobody may be told; every pending defer was published once."""
    db = world.store._db
    told = Counter[tuple[str, str]]()
    for name, text in db.execute("SELECT name, json FROM events WHERE name LIKE 'inngest/function.%'"):
        data = json.loads(text)["data"]
        if name != "inngest/function.invoked" and data["run_id"]:
            told[name, data["run_id"]] += 1
            assert data["_inngest"]["status"] == ENDS[world.ledger.ended[data["run_id"]]]
    deferred = Counter(
        json.loads(text)["data"]["_inngest"]["parent_run_id"]
        for (text,) in db.execute("SELECT json FROM events WHERE name = 'inngest/deferred.schedule'")
    )
    for id, name, status, state in db.execute("SELECT id, event_name, status, state FROM runs"):
        silent = name in {"inngest/function.failed", "inngest/function.finished"} or status == RunStatus.SKIPPED
        assert told["inngest/function.finished", id] == (not silent)
        assert told["inngest/function.failed", id] == (status == RunStatus.FAILED and not silent)
        assert told["inngest/function.cancelled", id] == (status == RunStatus.CANCELLED and not silent)
        pending = [d for d in (decode_state(state).defers or {}).values() if d.status == "after_run"]
        assert deferred[id] == len(pending)


def _k(world: World, run: Run) -> object:
    (event, *_) = world.store.body(run.id).events
    return json.loads(event)["data"].get("k")
