"""From rows to values. Columns come in the order of the named queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from holdfast.protocol.ids import ulid_time
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import decode_job, decode_pause
from holdfast.server.model.run import decode_detail, decode_state
from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.model.telemetry import MetadataUpdate, decode_user_span
from holdfast.server.store.history import StoredEvent, StoredRun, TraceRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.model.job import Job, Pause
    from holdfast.server.model.telemetry import UserSpan

    T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]

_decode_ids = msgspec.json.Decoder(list[str]).decode
_decode_values = msgspec.json.Decoder(dict[str, object]).decode


def read_run(row: Row) -> StoredRun:
    """A row of `run_columns`."""
    state = decode_state(row[13])
    return StoredRun(
        id=row[0],
        function_id=row[1],
        app_id=row[2],
        status=RunStatus(row[3]),
        scheduled_at=row[4],
        started_at=row[5],
        ended_at=row[6],
        event_ids=_decode_ids(row[7]),
        event_name=row[8],
        cron=row[9],
        batch_id=row[10],
        original_run_id=row[11],
        detail=decode_detail(row[12]),
        defers=state.defers or {},
    )


def read_output(row: Row) -> tuple[str, bytes]:
    """A row of `outputs`, with its run's id."""
    return row[0], _bytes(row[1]) or b""


def read_trace_row(row: Row) -> tuple[str, TraceRow]:
    """A row of `trace_rows`, with its run's id."""
    return row[0], TraceRow(seq=row[1], memoised=bool(row[2]), output=_bytes(row[3]), span=decode_span(row[4]))


def read_job(row: Row) -> tuple[str, Job]:
    """A row of `jobs`, with its run's id."""
    return row[0], decode_job(row[1])


def read_pause(row: Row) -> tuple[str, Pause]:
    """A row of `pauses`, with its run's id."""
    return row[0], decode_pause(row[1])


def read_metadata(row: Row) -> tuple[str, MetadataUpdate]:
    """A row of `telemetry.metadata`, with its run's id."""
    return row[0], MetadataUpdate(
        at=ulid_time(row[1]),
        scope=row[2],
        step_id=row[3],
        attempt=row[4],
        span_id=row[5],
        kind=row[6],
        op=row[7],
        values=_decode_values(row[8]),
    )


def read_user_span(row: Row) -> tuple[str, UserSpan]:
    """A row of `telemetry.user_spans`, with its run's id."""
    return row[0], decode_user_span(row[1])


def read_event(row: Row) -> StoredEvent:
    """A row of `event_columns`."""
    return StoredEvent(
        id=row[0], name=row[1], external_id=row[2], ts=row[3], received_at=row[4], json=_bytes(row[5]) or b"{}"
    )


def read_app(row: Row) -> AppRecord:
    """A row of `app_columns`."""
    return AppRecord(
        id=row[0],
        name=row[1],
        url=row[2],
        method=row[3],
        sdk_language=row[4],
        sdk_version=row[5],
        framework=row[6],
        app_version=row[7],
        checksum=row[8],
        error=row[9],
        created_at=row[10],
        archived_at=row[11],
        discovered=bool(row[12]),
    )


def read_function(row: Row) -> FunctionRecord:
    """A row of `function_columns`."""
    return FunctionRecord(
        id=row[0],
        app_id=row[1],
        slug=row[2],
        name=row[3],
        version=row[4],
        config=_bytes(row[5]) or b"{}",
        created_at=row[6],
        archived_at=row[7],
    )


def keyed(read: Callable[[Row], T]) -> Callable[[Row], tuple[str, T]]:
    """Read rows that carry a key before their columns."""
    return lambda row: (row[0], read(row[1:]))


def _bytes(value: str | bytes | None) -> bytes | None:
    # JSON columns are text, but a value bound as bytes stays bytes.
    return value.encode() if isinstance(value, str) else value
