"""`POST /webhooks/{key}`: another service tells of something, and a webhook makes an event of it. An extension of ours.

The key in the URL is the secret: who knows it may send, as with an event key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response

from holdfast.protocol.events import EventError, read_events
from holdfast.protocol.limits import MAX_EVENT
from holdfast.server.activity.happening import Happening, refused
from holdfast.server.api.common.asgi import TooLargeError, read_body, vouch
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.webhooks.transform import HookRequest, TransformError, events_of, response_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from holdfast.protocol.events import Event
    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.webhook import Webhook

log = structlog.get_logger(__name__)


def routes(backend: Backend, tell: Callable[[Happening], None]) -> list[ApiRoute]:
    """The routes of this module. `tell` hears of what is refused."""
    return [ApiRoute("/webhooks/{key}", _Receiver(backend, tell).receive, methods=["POST", "PUT"])]


class _Receiver:
    def __init__(self, backend: Backend, tell: Callable[[Happening], None]) -> None:
        self._backend = backend
        self._tell = tell

    async def receive(self, request: Request) -> Response:
        """Take a request: 200 and the ids of its events once they are durable."""
        hook = self._backend.webhooks.by_key(request.path_params["key"])
        if hook is None:
            return self._refuse(404, "Webhook not found: it was deleted, or the URL is not complete", "a webhook")
        vouch(request.scope)
        try:
            body = await read_body(request.receive, MAX_EVENT)
        except TooLargeError:
            text = f"Request body is over the max size: Max {MAX_EVENT} bytes"
            return self._refuse(413, text, f"webhook {hook.name}")
        given = HookRequest(body, dict(request.headers), dict(request.query_params))
        try:
            events = self._events(hook, given)
            ids = [event.id for event in events]
            answer = response_of(hook.response, given, ids, self._backend.now_ms()) if hook.response else None
        except (TransformError, EventError) as error:
            log.warning("a webhook request produced no event", webhook=hook.name, id=hook.id, error=str(error))
            self._tell(refused(self._backend.now_ms(), 400, str(error), f"webhook {hook.name}"))
            return public_error(400, f"Webhook {hook.name}: {error}")
        await self._backend.accept_all(events)
        if answer is None:
            return json_response({"ids": ids, "status": 200})
        return Response(answer[0], media_type=answer[1])

    def _refuse(self, status: int, text: str, subject: str) -> Response:
        self._tell(refused(self._backend.now_ms(), status, text, subject))
        return public_error(status, text)

    def _events(self, hook: Webhook, given: HookRequest) -> list[Event]:
        """The events of a request that the webhook's filter lets pass: all of them good, or none is taken."""
        now = self._backend.now_ms()
        found: list[Event] = []
        for json in events_of(hook.transform, given, now):
            intake = read_events(
                json, content_type="application/json", now_ms=now, new_id=lambda _: self._backend.new_id()
            )
            if intake.error:
                raise EventError(intake.error)
            found += intake.events
        if hook.event_filter is None:
            return found
        return [event for event in found if hook.event_filter.lets(event.name)]
