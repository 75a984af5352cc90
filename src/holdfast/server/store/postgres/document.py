"""A turn's changes as the document that `commit` takes: rows by table, those that there are."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import total_events
from holdfast.server.model.job import Job, Pause, encode_row
from holdfast.server.model.totals import EVENT_BITS
from holdfast.server.store.sql import columns

_encode = msgspec.json.encode

Document = dict[str, Any]


def document(changes: Changes, copy: int) -> Document:
    """Return the rows of a turn; `copy` is the number of its first event. Raises as values do that are no text."""
    doc: Document = {}
    if changes.events:
        _add_events(doc, changes, copy)
    if changes.new_runs:
        doc["new_runs"] = list(columns.new_run_rows(changes))
    if changes.runs:
        doc["runs"] = list(columns.run_rows(changes))
    if changes.event_runs:
        doc["event_runs"] = changes.event_runs
    if changes.steps:
        doc["steps"] = list(columns.step_rows(changes))
    if changes.spans:
        doc["spans"] = list(columns.span_rows(changes))
    _add_items(doc, "jobs", changes.jobs)
    _add_items(doc, "pauses", changes.pauses)
    if changes.run_totals:
        doc["run_totals"] = changes.run_totals
    _add_links(doc, changes)
    _add_keyed(doc, changes)
    return doc


def _add_events(doc: Document, changes: Changes, copy: int) -> None:
    """Events, and what they add to totals. Of an id that its sender gave, only the database knows if it is new."""
    doc["events"] = list(columns.event_rows(changes, copy))
    doc["event_totals"] = total_events(event for event in changes.events if not event.deduplicated)
    given = {event.id: event for event in reversed(changes.events) if event.deduplicated}
    if given:
        doc["given_events"] = [(e.id, e.received_at >> EVENT_BITS, e.name) for e in given.values()]


def _add_items(doc: Document, table: str, items: Any) -> None:
    given: dict[tuple[str, int], Job | Pause | None] = items
    kept = [(run_id, no, encode_row(item).decode()) for (run_id, no), item in given.items() if item is not None]
    if kept:
        doc[table] = kept
    if len(kept) < len(given):
        doc[f"no_{table}"] = [key for key, item in given.items() if item is None]


def _add_links(doc: Document, changes: Changes) -> None:
    if changes.sessions or changes.deferred_runs or changes.debug_runs:
        doc["links"] = {
            "sessions": changes.sessions, "deferred_runs": changes.deferred_runs, "debug_runs": changes.debug_runs,
        }  # fmt: skip


def _add_keyed(doc: Document, changes: Changes) -> None:
    if not (changes.idempotency or changes.forgotten or changes.crons or changes.flow or changes.batched
            or changes.unbatched):  # fmt: skip
        return
    doc["keyed"] = {
        "idempotency": changes.idempotency, "forgotten": changes.forgotten,
        "crons": [(*key, tick) for key, tick in changes.crons.items()],
        "flow": [(*key, _encode(record).decode()) for key, record in changes.flow.items() if record is not None],
        "no_flow": [key for key, record in changes.flow.items() if record is None],
        "batched": changes.batched, "unbatched": changes.unbatched,
    }  # fmt: skip
