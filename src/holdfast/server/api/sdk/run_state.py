"""REST `/v0`: what SDKs ask back while a run is executed, and telemetry (`protocol/http-apis.md` §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from holdfast.server.api.common.backend import CancelOutcome
from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from holdfast.server.api.common.backend import Runs, RunSnapshot


def routes(backend: Runs) -> list[ApiRoute]:
    """The routes of this module."""
    runs = _Runs(backend)
    return [
        ApiRoute("/v0/runs/{run_id}/actions", runs.actions, methods=["GET"]),
        ApiRoute("/v0/runs/{run_id}/batch", runs.batch, methods=["GET"]),
        ApiRoute("/v0/runs/{run_id}", runs.cancel, methods=["DELETE"]),
        ApiRoute("/v0/telemetry", _telemetry, methods=["POST"]),
    ]


class _Runs:
    def __init__(self, backend: Runs) -> None:
        self._backend = backend

    async def actions(self, request: Request) -> Response:
        """The memoised steps, as an object in the order of their completion."""
        return await self._state(request, _steps_json)

    async def batch(self, request: Request) -> Response:
        """The triggering events."""
        return await self._state(request, lambda state: b"[" + b",".join(state.events) + b"]")

    async def cancel(self, request: Request) -> Response:
        run_id = read_ulid(request.path_params["run_id"])
        if run_id is None:
            return _invalid_run_id()
        outcome = await self._backend.cancel_run(run_id)
        if outcome is CancelOutcome.MISSING:
            return public_error(404, "A function run with the given ID could not be found")
        if outcome is CancelOutcome.ENDED:
            return public_error(409, "This function has already completed")
        return Response(status_code=204)

    async def _state(self, request: Request, write: Callable[[RunSnapshot], bytes]) -> Response:
        run_id = read_ulid(request.path_params["run_id"])
        if run_id is None:
            return _invalid_run_id()
        state = await self._backend.run_state(run_id)
        if state is None:
            return public_error(410, f"runtime state is no longer available for runID: {run_id}")
        return Response(write(state) + b"\n", media_type="application/json")


def _steps_json(state: RunSnapshot) -> bytes:
    # Ids are hashes: nothing in them needs escaping.
    return b"{" + b",".join(b'"%s":%s' % (step.encode(), value) for step, value in state.steps.items()) + b"}"


def _invalid_run_id() -> Response:
    return public_error(400, "The run ID specified is invalid")


async def _telemetry(_request: Request) -> Response:
    """The UI's usage reports: nobody collects them."""
    return Response()
