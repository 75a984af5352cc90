"""Connections of workers (`protocol/graphql.md` §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import msgspec

from holdfast.server.api.common.backend import Worker
from holdfast.server.api.common.cursors import id_cursor, read_id_cursor
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.page import Edge, PageInfo, page_info
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.model.app import AppRecord

_PAGE: Final = 40
_LARGEST_PAGE: Final = 399
_TIMES: Final = {
    "CONNECTED_AT": "connected_at",
    "LAST_HEARTBEAT_AT": "last_heartbeat_at",
    "DISCONNECTED_AT": "disconnected_at",
}

_Filter = TypedDict(
    "_Filter",
    {
        "from": int | None,
        "until": int | None,
        "time_field": str | None,
        "status": list[str] | None,
        "app_ids": list[str] | None,
    },
    total=False,
)


class _Order(TypedDict):
    field: str
    direction: str


class _Workers(msgspec.Struct):
    edges: list[Edge[Worker]]
    page_info: PageInfo
    total_count: int


@resolver("Query.workerConnections")
async def _workers(
    _source: None,
    context: Context,
    first: int,
    order_by: list[_Order],
    filter: _Filter,
    after: str | None = None,
) -> _Workers:
    size = first if 0 < first <= _LARGEST_PAGE else _PAGE
    known = await context.ask(lambda backend: backend.workers())
    found = _sorted([worker for worker in known if _wanted(worker, filter)], order_by)
    last = read_id_cursor(after)
    start = next((index + 1 for index, worker in enumerate(found) if _row_id(worker) == last), 0)
    edges = [Edge(id_cursor(_row_id(worker)), worker) for worker in found[start : start + size]]
    return _Workers(edges, page_info(edges, size, previous=False), len(found))


@resolver("Query.workerConnection")
async def _worker(_source: None, context: Context, connection_id: str) -> Worker:
    found = [worker for worker in await context.ask(lambda backend: backend.workers()) if worker.id == connection_id]
    return found[0] if found else fail(NO_ROWS)


@resolver("ConnectV1WorkerConnection.app")
async def _app(worker: Worker, context: Context) -> AppRecord | None:
    return await context.apps.load(worker.app_id) if worker.app_id else None


@resolver("ConnectV1WorkerConnection.status")
def _status(worker: Worker, _context: Context) -> str:
    return worker.state.value


@resolver("ConnectV1WorkerConnection.sdkLang")
def _sdk_language(worker: Worker, _context: Context) -> str:
    return worker.sdk_language


@resolver("ConnectV1WorkerConnection.maxWorkerConcurrency")
def _max_concurrency(worker: Worker, _context: Context) -> int:
    return worker.max_concurrency


@resolver("ConnectV1WorkerConnection.memBytes")
def _memory_bytes(worker: Worker, _context: Context) -> int:
    return worker.memory_bytes


@resolver("ConnectV1WorkerConnection.buildId")
def _build_id(worker: Worker, _context: Context) -> str | None:
    return worker.app_version


def _row_id(worker: Worker) -> str:
    """A connection is one row for each of its apps."""
    return f"{worker.id}:{worker.app_id}"


def _sorted(workers: list[Worker], order: Sequence[_Order]) -> list[Worker]:
    workers.sort(key=_row_id)
    for level in reversed(order):
        workers.sort(key=lambda worker: _time(worker, level["field"]) or 0, reverse=level["direction"] == "DESC")
    return workers


def _wanted(worker: Worker, where: _Filter) -> bool:
    at = _time(worker, where.get("time_field") or "CONNECTED_AT")
    since, until = where.get("from"), where.get("until")
    if (since is not None and (at is None or at < since)) or (until is not None and (at is None or at >= until)):
        return False
    statuses, apps = where.get("status"), where.get("app_ids")
    return (not statuses or worker.state.value in statuses) and (not apps or worker.app_id in apps)


def _time(worker: Worker, field: str) -> int | None:
    value: int | None = getattr(worker, _TIMES[field])
    return value
