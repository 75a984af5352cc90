from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from holdfast.server.drivers.http import HttpClient

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on a fresh loop; an exception that reaches the loop fails the test."""

    def runner(main: Callable[[], Awaitable[None]]) -> None:
        problems: list[dict[str, Any]] = []

        async def supervised() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
            await main()
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop_runner:
            loop_runner.run(supervised())
        assert not problems

    return runner


@pytest.fixture
def client() -> Callable[..., Any]:
    """Makes clients that are closed at the end of an ``async with``."""

    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[HttpClient]:
        made = HttpClient(**options)
        try:
            yield made
        finally:
            await made.close()

    return make
