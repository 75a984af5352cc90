"""`GET /ready`: whether this server should get work; 200 or 503 with the reason. `/health` only says that it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.api.common.error_bodies import json_response
from holdfast.server.api.common.routing import ApiRoute

log = structlog.get_logger(__name__)

#: Seconds that the store has to answer.
PATIENCE_S: Final = 2.0


class Readiness:
    """What `/ready` looks at. `trouble` tells why the partition accepts nothing, `read` asks the store for anything."""

    def __init__(self, trouble: Callable[[], str], read: Callable[[], Awaitable[object]]) -> None:
        self._trouble = trouble
        self._read = read
        self.phase = "starting"
        """`starting`, `running` or `draining`."""

    async def reason(self) -> str:
        """Return why the server isn't ready; empty if it is."""
        if self.phase != "running":
            return self.phase
        if trouble := self._trouble():
            return trouble
        try:
            await asyncio.wait_for(self._read(), PATIENCE_S)
        except TimeoutError:
            return "the store does not respond"
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody can read
            log.warning("the store can't be read", error=str(error))
            return "the store can't be read"
        return ""

    async def answer(self, _: Request) -> Response:
        """200 or 503."""
        reason = await self.reason()
        if reason:
            return json_response({"status": 503, "message": reason}, 503)
        return json_response({"status": 200, "message": "OK"})

    def routes(self) -> list[ApiRoute]:
        """Return the route."""
        return [ApiRoute("/ready", self.answer, methods=["GET", "HEAD"])]
