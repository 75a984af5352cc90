"""Events, and the legacy stream of them (`protocol/graphql.md` §6, §10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypedDict

import msgspec

from holdfast.server.api.common.cursors import id_cursor, read_id_cursor
from holdfast.server.api.common.event_document import event_document
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.page import Edge, PageInfo, page_info
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail
from holdfast.server.api.graphql.scalars import ulid_problem
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import EventFilter, StreamFilter
from holdfast.server.store.search import SearchError, parse_search, text_search

if TYPE_CHECKING:
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.store.history import StoredEvent, StoredRun

_PAGE: Final = 40
_LARGEST_PAGE: Final = 51
_EXCERPT: Final = 240  # bytes
_HOUR_MS: Final = 3_600_000
_ZERO_UUID: Final = "00000000-0000-0000-0000-000000000000"
_STREAM_LIMIT: Final = 1_000

_Filter = TypedDict(
    "_Filter",
    {
        "from": int,
        "until": int | None,
        "event_names": list[str] | None,
        "include_internal_events": bool,
        "query": str | None,
        "text": str | None,
    },
    total=False,
)


class _StreamQuery(TypedDict, total=False):
    after: str | None
    before: str | None
    limit: int
    include_internal_events: bool | None


class _Events(msgspec.Struct):
    edges: list[Edge[StoredEvent]]
    page_info: PageInfo
    where: EventFilter


class _StreamItem(msgspec.Struct):
    id: str
    trigger: str
    type: str
    created_at: int
    runs: list[StoredRun]
    in_batch: bool


@resolver("Query.event")
async def _event(_source: None, context: Context, query: dict[str, str]) -> StoredEvent:
    return await context.events.load(query["event_id"].upper()) or fail(NO_ROWS)


@resolver("Query.events")
async def _events(_source: None, context: Context, query: dict[str, str]) -> list[StoredEvent]:  # noqa: ARG001
    return await context.history.events(EventFilter(since=context.now - _HOUR_MS), _LARGEST_PAGE)


@resolver("Query.eventV2")
async def _event_v2(_source: None, context: Context, id: str) -> StoredEvent:
    return await context.events.load(id) or fail(f"event not found: {id}")


@resolver("Query.eventsV2")
async def _events_v2(
    _source: None,
    context: Context,
    first: int,
    filter: _Filter,
    after: str | None = None,
) -> _Events:
    size = first if 0 < first <= _LARGEST_PAGE else _PAGE
    where = _where(filter)
    found = await context.history.events(where, size, read_id_cursor(after))
    edges = [Edge(id_cursor(event.id), event) for event in found]
    stopped = id_cursor(found.stopped) if isinstance(found.stopped, str) and found.stopped else None
    return _Events(edges, page_info(edges, size, previous=bool(after), stopped=stopped), where)


@resolver("EventsConnection.totalCount")
async def _events_total(page: _Events, context: Context) -> int:
    return await context.history.count_events(page.where)


@resolver("Event.externalID")
def _external_id(event: StoredEvent, _context: Context) -> str:
    return event.external_id or event.id


@resolver("Event.createdAt")
def _created_at(event: StoredEvent, _context: Context) -> int:
    return event.ts


@resolver("Event.payload")
def _payload(event: StoredEvent, _context: Context) -> str:
    return bytes(event_document(event).data).decode("utf-8", "replace")


@resolver("Event.raw")
def _raw(event: StoredEvent, _context: Context) -> str:
    return event_document(event).text()


@resolver("Event.workspace")
@resolver("Event.schema")
@resolver("EventV2.source")
def _nothing(_event: StoredEvent, _context: Context) -> None:
    return None


@resolver("Event.functionRuns")
async def _function_runs(event: StoredEvent, context: Context) -> list[StoredRun] | None:
    """The runs that the event is the first of, without skipped ones."""
    found = await context.runs_of_event.load(event.id) or []
    return [run for run in found if run.event_ids[:1] == [event.id] and run.status is not RunStatus.SKIPPED] or None


@resolver("Event.totalRuns")
async def _total_runs(event: StoredEvent, context: Context) -> int:
    return len(await _function_runs(event, context) or [])


@resolver("Event.pendingRuns")
async def _pending_runs(event: StoredEvent, context: Context) -> int:
    return sum(not run.status.ended for run in await _function_runs(event, context) or [])


@resolver("Event.status")
async def _status(event: StoredEvent, context: Context) -> str:
    statuses = [run.status for run in await _function_runs(event, context) or []]
    if not statuses:
        return "NO_FUNCTIONS"
    if not all(status.ended for status in statuses):
        return "RUNNING"
    failed = statuses.count(RunStatus.FAILED)
    return "COMPLETED" if not failed else "FAILED" if failed == len(statuses) else "PARTIALLY_FAILED"


@resolver("EventV2.envID")
def _env_id(_event: StoredEvent, _context: Context) -> str:
    return _ZERO_UUID


@resolver("EventV2.idempotencyKey")
def _idempotency_key(event: StoredEvent, _context: Context) -> str:
    return event.external_id or event.id


@resolver("EventV2.occurredAt")
def _occurred_at(event: StoredEvent, _context: Context) -> int:
    return event.ts


@resolver("EventV2.excerpt")
def _excerpt(event: StoredEvent, _context: Context) -> str:
    """Return, as an extension of ours, how an event's data begins, for lists."""
    return bytes(event_document(event).data)[:_EXCERPT].decode("utf-8", "ignore")


@resolver("EventV2.raw")
def _raw_v2(event: StoredEvent, _context: Context) -> str:
    return event_document(event).sorted_text()


@resolver("EventV2.version")
def _version(event: StoredEvent, _context: Context) -> str:
    return event_document(event).v or ""


@resolver("EventV2.runs")
async def _runs(event: StoredEvent, context: Context) -> list[StoredRun]:
    return await context.runs_of_event.load(event.id) or []


@resolver("Query.stream")
async def _stream(_source: None, context: Context, query: _StreamQuery) -> list[_StreamItem]:
    after, before = query.get("after") or "", query.get("before") or ""
    if any(bound and ulid_problem(bound) for bound in (after, before)):
        fail("internal system error")
    limit = max(min(query.get("limit", 20), _STREAM_LIMIT), 0)
    where = StreamFilter(bool(query.get("include_internal_events")), after.upper(), before.upper())
    found = await context.history.stream(where, limit)
    items = await asyncio.gather(*(_stream_item(event, context) for event in found))
    return sorted(items, key=lambda item: item.created_at, reverse=True)


async def _stream_item(event: StoredEvent, context: Context) -> _StreamItem:
    runs = await _function_runs(event, context) or []
    cron = next((run.cron for run in runs if run.cron), "")
    kind, trigger = ("CRON", cron) if cron else ("EVENT", event.name)
    return _StreamItem(event.id, trigger, kind, event.ts, runs, any(run.batch_id for run in runs))


def _where(given: _Filter) -> EventFilter:
    try:
        search = parse_search(given.get("query") or "") + text_search(given.get("text") or "")
    except SearchError as error:
        fail(f"error retrieving events: {error}")
    return EventFilter(
        since=given.get("from", 0),
        until=given.get("until"),
        names=tuple(given.get("event_names") or ()),
        internal=given.get("include_internal_events", False),
        search=search,
    )
