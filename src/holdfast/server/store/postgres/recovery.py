"""What is read at a start, and for a run that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from holdfast.server.engine.run import Body, Run
from holdfast.server.model.job import decode_job, decode_pause
from holdfast.server.store.postgres.link import Snapshot
from holdfast.server.store.sql.columns import live_run, reopen
from holdfast.server.store.sql.rows import Row
from holdfast.server.store.store import EndedRun, EventRow, Needs, Recovered

_decode_ids = msgspec.json.Decoder(list[str]).decode

#: What the server keeps in memory of the rows that no engine owns.
_KEPT: Final = (
    "access.users", "access.sessions", "access.tokens", "access.event_keys", "access.signing_keys", "webhooks.all",
    "workers.connections", "workers.groups",
    "apps.apps", "apps.functions",
)  # fmt: skip
_META: Final = "meta.get"
_META_KEYS: Final = ("token_secret",)


class Start:
    """Rows that no engine owns, as they were read last."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, tuple[object, ...]], list[Row]] = {}

    def select(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query, by its name."""
        return self.rows.get((statement, tuple(parameters)), [])


async def read_start(snapshot: Snapshot) -> Start:
    """Read the rows that no engine owns."""
    start = Start()
    for statement in _KEPT:
        start.rows[statement, ()] = await snapshot.select(statement)
    for key in _META_KEYS:
        start.rows[_META, (key,)] = await snapshot.select(_META, (key,))
    return start


async def read_live(snapshot: Snapshot, partition: int, needs: Needs) -> Recovered:
    """Read all live state of a partition. Raises KeyError and ValueError for rows that don't fit each other."""
    runs = await _runs(snapshot, partition)
    flow = [(kind, key, record.encode()) for kind, key, record in await snapshot.select("recovery.flow", (partition,))]
    batches: dict[str, list[str]] = {}
    for batch, event in await snapshot.select("recovery.batches", (partition,)):
        batches.setdefault(batch, []).append(event)
    ids = [id for batch in batches.values() for id in batch]
    ids += [id for kind, _, record in flow for id in needs(kind, record)]
    ids = list(dict.fromkeys(ids))
    traces = dict[str, str](await snapshot.select("telemetry.event_traces", (ids,))) if ids else {}
    keys: list[Any] = await snapshot.select("recovery.keys", (partition,))
    crons: list[Any] = await snapshot.select("recovery.crons", (partition,))
    return Recovered(runs, keys, crons, flow, batches, await read_events(snapshot, ids), traces)


async def _runs(snapshot: Snapshot, partition: int) -> list[Run]:
    runs = {run.id: run for run in map(live_run, await snapshot.select("recovery.runs", (partition,)))}
    ids = list(runs)
    for run_id, count, size, seq in await snapshot.select("recovery.step_totals", (ids,)):
        run = runs[run_id]
        run.step_count, run.state_size, run.seq = count, size or 0, seq
    for run_id, seq in await snapshot.select("recovery.span_totals", (ids,)):
        runs[run_id].seq = max(runs[run_id].seq, seq)
    for run_id, size in await snapshot.select("recovery.event_sizes", (ids,)):
        runs[run_id].state_size += size
    for (text,) in await snapshot.select("recovery.jobs", (partition,)):
        reopen(runs, decode_job(text))
    for (text,) in await snapshot.select("recovery.pauses", (partition,)):
        reopen(runs, decode_pause(text))
    await _read_groups(snapshot, [run for run in runs.values() if run.state.group])
    return list(runs.values())


async def _read_groups(snapshot: Snapshot, runs: list[Run]) -> None:
    """Read which steps of groups are still to come."""
    if not runs:
        return
    done: dict[str, set[str]] = {}
    for run_id, step_id in await snapshot.select("recovery.step_ids", ([run.id for run in runs],)):
        done.setdefault(run_id, set()).add(step_id)
    for run in runs:
        run.pending = set(run.state.group or ()) - done.get(run.id, set())


async def read_body(snapshot: Snapshot, run_id: str) -> Body:
    """Read a run's events and memoised steps."""
    found = await snapshot.select("recovery.body", (run_id,))
    return Body(
        [json.encode() for kind, _, _, json in found if kind == 0],
        {step: json.encode() for kind, _, step, json in found if kind == 1},
    )


async def read_ended(snapshot: Snapshot, run_id: str) -> EndedRun | None:
    """Read what a rerun of a run needs."""
    found = await snapshot.select("recovery.ended", (run_id,))
    if not found:
        return None
    function_id, event_ids, cron = found[0]
    steps = await snapshot.select("recovery.steps", (run_id,))
    return EndedRun(function_id, _decode_ids(event_ids), {step: output.encode() for step, output in steps}, cron)


async def read_events(snapshot: Snapshot, ids: list[str]) -> list[EventRow]:
    """Read events, in the order asked for."""
    if not ids:
        return []
    found = {row[0]: row for row in await snapshot.select("recovery.events", (ids,))}
    return [(*found[id][:5], found[id][5].encode()) for id in ids if id in found]
