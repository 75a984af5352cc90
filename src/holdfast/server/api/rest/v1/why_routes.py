"""REST `/v1/runs/{id}/why` and `/v1/events/{id}/why`: why is it not running? An extension of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from holdfast.server.api.common.backend import Reasons
    from holdfast.server.model.reason import Reason


def routes(backend: Reasons) -> list[ApiRoute]:
    """Return the routes of this module."""
    why = _Why(backend)
    return [
        ApiRoute("/v1/runs/{run_id}/why", why.run, methods=["GET"]),
        ApiRoute("/v1/events/{event_id}/why", why.event, methods=["GET"]),
    ]


class _Why:
    def __init__(self, backend: Reasons) -> None:
        self._backend = backend

    async def run(self, request: Request) -> Response:
        given = request.path_params["run_id"]
        run_id = read_ulid(given)
        if run_id is None:
            return public_error(400, f"Invalid run ID: {given}")
        run = await self._backend.history.run(run_id)
        if run is None:
            return public_error(404, f"Unable to load function run: {given}")
        reasons = (await self._backend.why_runs([run]))[run.id]
        return self._answer({"run_id": run.id, "status": run.status.name.capitalize()}, reasons)

    async def event(self, request: Request) -> Response:
        given = request.path_params["event_id"]
        event_id = read_ulid(given)
        if event_id is None:
            return public_error(400, f"Invalid event ID: {given}")
        event = (await self._backend.history.events_by_id([event_id])).get(event_id)
        if event is None:
            return public_error(404, "Event not found")
        runs = (await self._backend.history.runs_of_events([event_id])).get(event_id, [])
        reasons = await self._backend.why_event(event, runs)
        return self._answer({"event_id": event.id, "name": event.name}, reasons)

    def _answer(self, about: dict[str, str], reasons: list[Reason]) -> Response:
        data = {**about, "reasons": [_document(reason) for reason in reasons]}
        return json_response({"data": data, "metadata": {"fetched_at": _time(self._backend.now_ms())}})


def _document(reason: Reason) -> dict[str, object]:
    """Return a reason with its moments as times; what a kind has no use for is left out."""
    document: dict[str, object] = msgspec.to_builtins(reason)
    for name, ms in (("since", reason.since), ("until", reason.until)):
        if ms is not None:
            document[name] = _time(ms)
    return document


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)
