"""The route of `/mcp`: MCP's streamable HTTP, without sessions and without streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.types import Receive, Scope, Send

    from holdfast.server.api.common.backend import Backend


def _load() -> Callable[[Backend, str], StreamableHTTPSessionManager]:
    """Take a second: runs must go on meanwhile."""
    from holdfast.server.api.operators.mcp.tool_server import session_manager  # noqa: PLC0415 - as this module tells

    return session_manager


class McpApi:
    """Answers agents. Nothing is loaded before the first one asks. Close it when done."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._starting = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def routes(self) -> list[ApiRoute]:
        """Return the route of this module."""
        return [ApiRoute("/mcp", self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        async with self._starting:
            manager = self._manager or await self._start()
        await manager.handle_request(scope, receive, send)

    async def close(self) -> None:
        """End what is under way."""
        self._stop.set()
        if self._running is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _start(self) -> StreamableHTTPSessionManager:
        manager = (await asyncio.to_thread(_load))(self._backend, self._backend.info.version)
        ready = asyncio.Event()

        async def run() -> None:
            async with manager.run():
                ready.set()
                await self._stop.wait()

        self._running = asyncio.create_task(run())
        await ready.wait()
        self._manager = manager
        return manager
