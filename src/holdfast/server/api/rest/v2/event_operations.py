"""Events: sending one, and the runs that it started (`protocol/http-apis.md` §10.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from holdfast.protocol.events import INTERNAL_PREFIX, read_events
from holdfast.protocol.limits import MAX_EVENT
from holdfast.server.api.common.parameters import read_int, read_ulid
from holdfast.server.api.rest.v2.envelope import Answer, RefusalError, Sent, Shown, invalid, missing, page_of, page_size
from holdfast.server.api.rest.v2.fields import Cursor, EventId, IncludeOutput, Limit40, Object
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.run_operations import Run, show_runs
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend

_MAX_NAME: Final = 512


class SendEvent(Sent):
    """An event."""

    name: Annotated[
        str, Meta(description="The event's name, such as `shop/order.created`; at most 512 characters.")
    ] = ""
    data: Annotated[Object, Meta(description="The event's payload.")] | UnsetType = UNSET
    user: Annotated[Object, Meta(description="The user that the event is about.")] | UnsetType = UNSET
    id: Annotated[
        str, Meta(description="Idempotency id: an event with the same id within 24 hours starts nothing more.")
    ] = ""
    ts: Annotated[int | str, Meta(description="Time of the event, ms since the epoch (default: now).")] = 0


class SentEvent(Shown):
    """The event's internal id."""

    event_id: str


class GetEventRuns(Sent):
    """A page of the runs that an event started."""

    event_id: EventId
    include_output: IncludeOutput = False
    cursor: Cursor = ""
    limit: Limit40 | None = None


async def _send(backend: Backend, given: SendEvent) -> Answer:
    if not given.name:
        raise missing("Event name is required")
    if len(given.name) > _MAX_NAME:
        raise invalid(f"Event name cannot exceed {_MAX_NAME} characters")
    body = msgspec.json.encode(_members(given))
    now = backend.now_ms()
    intake = read_events(body, content_type="application/json", now_ms=now, new_id=lambda _: backend.new_id())
    if intake.error:
        reserved = given.name.lower().startswith(INTERNAL_PREFIX)
        raise invalid(intake.error) if reserved else RefusalError(400, "validation_error", intake.error)
    event = intake.events[0]
    await backend.accept_all([event])
    return Answer(SentEvent(event_id=event.id))


def _members(given: SendEvent) -> dict[str, object]:
    """Return the event as `/e` takes it; a 64-bit number may have come as text."""
    ts = read_int(given.ts) if isinstance(given.ts, str) else given.ts
    if ts is None:
        raise invalid("Event ts must be a number of milliseconds")
    members: dict[str, object] = {"name": given.name, "id": given.id or None, "ts": ts or None}
    members |= {name: raw for name, raw in (("data", given.data), ("user", given.user)) if raw is not UNSET}
    return {name: value for name, value in members.items() if value is not None}


async def _runs(backend: Backend, given: GetEventRuns) -> Answer:
    event_id = read_ulid(given.event_id)
    if event_id is None:
        raise invalid("Event ID must be a valid ULID")
    size = page_size(given.limit, 40)
    before = read_ulid(given.cursor) if given.cursor else ""
    if before is None:
        raise invalid("Cursor is invalid")
    found = (await backend.history.runs_of_events([event_id])).get(event_id, [])
    rows = [run for run in reversed(found) if run.status is not RunStatus.SKIPPED and (not before or run.id < before)]
    shown = rows[:size]
    documents = await show_runs(backend, shown, with_output=given.include_output, of_event=True)
    return Answer(documents, page_of(rows, size, shown[-1].id if shown else ""))


OPERATIONS: Final = (
    Operation(
        id="SendEvent", method="POST", path="/events", summary="Send event",
        description="Send one event. Returns its id once the event and the runs that it starts are stored.",
        request=SendEvent, run=runner(SendEvent, _send), answer=SentEvent, required=("name",), errors=(413,),
        max_body=MAX_EVENT, command="send-event",
    ),
    Operation(
        id="GetEventRuns", method="GET", path="/events/{event_id}/runs", summary="Get event runs",
        description="List the runs that an event started, newest first.",
        request=GetEventRuns, run=runner(GetEventRuns, _runs), answer=list[Run], paged=True,
        tool="get_event_runs", command="get-event-runs",
    ),
)  # fmt: skip
