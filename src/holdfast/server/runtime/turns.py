"""The end of a turn and a recovery, without a loop: shared by the partition, the simulation and the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Container

from holdfast.protocol.events import Event, load_event
from holdfast.protocol.tracing import load_context
from holdfast.server.engine.engine import Engine, Suspect
from holdfast.server.engine.flow import restore
from holdfast.server.engine.run import Run
from holdfast.server.store.store import Recovered, Store


def cancel_runs(engine: Engine, load: Callable[[Run], None], now: int) -> None:
    """Cancel the runs that this turn's events cancel; `load` brings the body of a run back.

    What the end of a run cancels, or fails, belongs to the same commit: nothing else would remember it. Of a bulk
    cancellation one slice is carried out.
    """
    cancellations = engine.take_cancellations()
    while cancellations:
        for cancellation in cancellations:
            run = engine.view.run(cancellation.run_id)
            if run is not None:
                load(run)
                engine.cancel(run, cancellation.cause, now)
        cancellations = engine.take_cancellations() if engine.cancelling else []


def recover(
    engine: Engine, recovered: Recovered, store: Store, configure: Callable[[Engine, int], None], now: int,
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
    for kind, key, record in recovered.flow:
        if (kind, key) not in held:
            engine.restore(kind, key, record, _events_of(store, kind, record))
    return [run.id for run in recovered.runs if not engine.adopt(run, now, held)]


def _events_of(store: Store, kind: str, record: bytes) -> dict[str, Event]:
    """Return the events that a flow-control record holds back, by id."""
    batch = restore.batch_of(kind, record)
    ids = store.batch_events(batch) if batch else restore.needed_events(kind, record)
    events = {row[0]: load_event(*row) for row in store.load_events(ids)}
    for id, trace in store.event_traces(events).items():
        events[id].trace = load_context(trace)
    return events
