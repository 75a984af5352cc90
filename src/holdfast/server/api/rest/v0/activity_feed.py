"""`GET /v0/activity`: what happens on the server, as JSON lines, for as long as the client likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from holdfast.server.activity.activity import Activity
from holdfast.server.activity.happening import Happening
from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.api.common.routing import ApiRoute

#: How many may follow at once, and how much may wait for each: the rest is lost to them.
MOST_FOLLOWERS: Final = 20
MOST_WAITING: Final = 1_000
KEEPALIVE_S: Final = 15.0


class ActivityApi:
    """The route, and its clients."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._queues: set[asyncio.Queue[Happening | None]] = set()

    def routes(self) -> list[ApiRoute]:
        """Return the route."""
        return [ApiRoute("/v0/activity", self._follow, methods=["GET"])]

    def close(self) -> None:
        """End all streams."""
        for queue in self._queues:
            _put(queue, None)

    async def _follow(self, _: Request) -> Response:
        if len(self._queues) >= MOST_FOLLOWERS:
            return public_error(503, f"{MOST_FOLLOWERS} clients follow the activity already; try again later")
        queue: asyncio.Queue[Happening | None] = asyncio.Queue(MOST_WAITING)
        return StreamingResponse(self._lines(queue), media_type="application/x-ndjson")

    async def _lines(self, queue: asyncio.Queue[Happening | None]) -> AsyncIterator[bytes]:
        unfollow: Callable[[], None] = self._activity.follow(lambda told: _put(queue, told), everything=True)
        self._queues.add(queue)
        try:
            yield b"\n"
            while (happening := await _next(queue)) is not None:
                yield msgspec.json.encode(happening) + b"\n" if isinstance(happening, Happening) else b"\n"
        finally:
            self._queues.discard(queue)
            unfollow()


async def _next(queue: asyncio.Queue[Happening | None]) -> Happening | bytes | None:
    """Return what is next: a happening, None for the end, or nothing for a while."""
    try:
        async with asyncio.timeout(KEEPALIVE_S):
            return await queue.get()
    except TimeoutError:
        return b""


def _put(queue: asyncio.Queue[Happening | None], item: Happening | None) -> None:
    if item is None and queue.full():
        queue.get_nowait()
    with contextlib.suppress(asyncio.QueueFull):
        queue.put_nowait(item)
