"""The end of a turn and a recovery, without a loop: shared by the partition, the simulation and the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from holdfast.protocol.events import Event, load_event
from holdfast.protocol.tracing import load_context
from holdfast.server.engine.engine import Engine, Suspect
from holdfast.server.engine.flow import restore
from holdfast.server.engine.run import Run
from holdfast.server.store.store import EventRow, Recovered


def cancel_runs(engine: Engine, load: Callable[[Run], object], now: int) -> list[Run]:
    """Cancel the runs that this turn's events cancel; `load` brings the body of a run back.

    What the end of a run cancels, or fails, belongs to the same commit: nothing else would remember it. Of a bulk
    cancellation one slice is carried out.

    Returns:
        The runs whose bodies are still on their way, since `load` returned anything. Nothing may be committed before
        they are there and this was called again.

    """
    later: dict[str, tuple[Run, str]] = {}
    cancellations = engine.take_cancellations()
    while cancellations:
        for cancellation in cancellations:
            run = engine.view.run(cancellation.run_id)
            if run is None:
                continue
            if load(run) is not None:
                later.setdefault(run.id, (run, cancellation.cause))
            else:
                engine.cancel(run, cancellation.cause, now)
        cancellations = engine.take_cancellations() if engine.cancelling else []
    for run_id, (_, cause) in later.items():
        engine.cancel_later(run_id, cause)
    return [run for run, _ in later.values()]


def recover(
    engine: Engine, recovered: Recovered, configure: Callable[[Engine, int], None], now: int,
    held: Container[Suspect] = (),
) -> list[str]:  # fmt: skip
    """Give a new engine what a store has; what is `held` in quarantine is left out.

    Return the ids of runs that had no open job or wait: their apps are called again.
    """
    for key, expires in recovered.idempotency:
        engine.remember_key(key, expires)
    for function_id, cron, tick in recovered.crons:
        engine.crons.remember(function_id, cron, now if (function_id, cron) in held else tick)
    configure(engine, now)
    events = {row[0]: row for row in recovered.events}
    for kind, key, record in recovered.flow:
        if (kind, key) not in held:
            engine.restore(kind, key, record, _events_of(recovered, events, kind, record))
    return [run.id for run in recovered.runs if not engine.adopt(run, now, held)]


def _events_of(recovered: Recovered, rows: Mapping[str, EventRow], kind: str, record: bytes) -> dict[str, Event]:
    """Return the events that a flow-control record holds back, by id."""
    batch = restore.batch_of(kind, record)
    ids = recovered.batches.get(batch, []) if batch else restore.needed_events(kind, record)
    events = {id: load_event(*rows[id]) for id in ids if id in rows}
    for id, event in events.items():
        if id in recovered.traces:
            event.trace = load_context(recovered.traces[id])
    return events
