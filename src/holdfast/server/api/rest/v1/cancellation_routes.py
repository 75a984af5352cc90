"""REST `/v1/cancellations`: ending all runs of a function that were scheduled in a window (`http-apis.md` §8.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, UnsetType

from holdfast.protocol.functions import ExpressionUse
from holdfast.protocol.rfc3339 import format_rfc3339, parse_rfc3339
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.expressions import check
from holdfast.server.model.cancellation import BulkCancellation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from holdfast.server.api.common.backend import Functions
    from holdfast.server.model.app import FunctionRecord

_ACCOUNT: Final = "00000000-0000-4000-a000-000000000000"
_ENVIRONMENT: Final = "00000000-0000-4000-b000-000000000000"
#: How far `started_before` may lie in the future.
_SLACK_MS: Final = 5_000


def routes(backend: Functions) -> list[ApiRoute]:
    """Return the routes of this module."""
    cancellations = _Cancellations(backend)
    return [
        ApiRoute("/v1/cancellations", cancellations.create, methods=["POST"]),
        ApiRoute("/v1/cancellations", cancellations.show, methods=["GET"]),
        ApiRoute("/v1/cancellations/{id}", cancellations.remove, methods=["DELETE"]),
    ]


class CancellationRequestV1(msgspec.Struct):
    """Which runs are to end: of a function (its full slug), scheduled in a window."""

    app_id: str = ""
    function_id: str = ""
    started_after: str | None = None
    started_before: str | None = None
    condition: str | None = msgspec.field(name="if", default=None)


class _Window(msgspec.Struct):
    after: int | None
    before: int | None


class CancellationV1(msgspec.Struct, rename={"condition": "if"}):
    """A bulk cancellation."""

    created_at: str
    id: str
    app_id: str
    function_internal_id: str
    function_id: str
    started_after: str | None
    started_before: str
    name: None = None
    account_id: str = _ACCOUNT
    environment_id: str = _ENVIRONMENT
    condition: str | UnsetType = UNSET
    kind: str = "bulk_run"
    cause: str = "API"
    queue_name: None = None


class _Cancellations:
    def __init__(self, backend: Functions) -> None:
        self._backend = backend

    async def create(self, request: Request) -> Response:
        """Begin one: runs that are queued or running end within moments, those of a window yet to end as they start."""
        try:
            given = msgspec.json.decode(await request.body(), type=CancellationRequestV1)
            window = _Window(_ms(given.started_after), _ms(given.started_before))
        except (ValueError, RecursionError):
            return public_error(400, "Invalid cancellation request")
        now = self._backend.now_ms()
        if problems := list(_problems(given, window, now)):
            return public_error(400, "\n".join(problems))
        function = await self._function(given.app_id, given.function_id)
        if function is None:
            return public_error(404, "function not found")
        if given.condition and (error := check(given.condition, ExpressionUse.TRIGGER)):
            return public_error(400, f"invalid expression: {error}")
        assert window.before is not None
        found = BulkCancellation(
            self._backend.new_id(), now, function.app_id, function.id, function.slug, window.after, window.before,
            given.condition or "",
        )  # fmt: skip
        await self._backend.cancel_many(found)
        return self._answer(_document(found))

    async def show(self, _request: Request) -> Response:
        """All of them, newest first, until they are removed."""
        return self._answer([_document(found) for found in self._backend.cancellations()])

    async def remove(self, request: Request) -> Response:
        id = read_ulid(request.path_params["id"])
        if id is None:
            return public_error(400, "Invalid cancellation ID")
        if not await self._backend.remove_cancellation(id):
            return public_error(404, "Cancellation not found")
        return self._answer({"ok": True})

    async def _function(self, app_name: str, slug: str) -> FunctionRecord | None:
        history = self._backend.history
        apps = [app.id for app in await history.apps() if app.name == app_name]
        functions = await history.functions_of_apps(apps)
        return next((f for app_id in apps for f in functions.get(app_id, []) if f.slug == slug), None)

    def _answer(self, data: object) -> Response:
        return json_response({"data": data, "metadata": {"fetched_at": _time(self._backend.now_ms())}})


def _problems(given: CancellationRequestV1, window: _Window, now: int) -> Iterator[str]:
    if not given.app_id:
        yield "app_id is required"
    if not given.function_id:
        yield "function_id is required"
    if window.before is None:
        yield "started_before is required"
        return
    if window.before > now + _SLACK_MS:
        yield "started_before must be in the past"
    if window.after is not None and window.after > window.before:
        yield "started_after must be before started_before"


def _document(found: BulkCancellation) -> CancellationV1:
    return CancellationV1(
        _time(found.created_at), found.id, found.app_id, found.function_id, found.slug,
        _time(found.after) if found.after is not None else None, _time(found.before),
        condition=found.condition or UNSET,
    )  # fmt: skip


def _ms(text: str | None) -> int | None:
    return parse_rfc3339(text) if text is not None else None


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)
