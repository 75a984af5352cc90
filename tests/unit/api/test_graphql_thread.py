"""The thread for GraphQL: a few pieces of work at a time, in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.server.api.graphql.thread import _AT_ONCE, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("test")
    yield made
    made.close()


def test_a_few_at_a_time_in_their_order(worker: Worker) -> None:
    begun: list[int] = []
    most = under_way = 0

    async def work(number: int) -> int:
        nonlocal most, under_way
        begun.append(number)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return number

    async def main() -> None:
        all = range(5 * _AT_ONCE)
        assert await asyncio.gather(*(worker.run(lambda n=n: work(n)) for n in all)) == list(all)  # type: ignore[misc]
        assert begun == list(all)
        assert most == _AT_ONCE

    asyncio.run(main())


def test_who_gives_up_waiting_gives_up_the_place(worker: Worker) -> None:
    started: list[str] = []

    async def stuck(name: str) -> None:
        started.append(name)
        await asyncio.Event().wait()

    async def quick() -> str:
        return "done"

    async def main() -> None:
        holding = [asyncio.ensure_future(worker.run(lambda: stuck("holding"))) for _ in range(_AT_ONCE)]
        waiting = asyncio.ensure_future(worker.run(lambda: stuck("waiting")))
        last = asyncio.ensure_future(worker.run(quick))
        done, _ = await asyncio.wait([*holding, waiting, last], timeout=0.05)
        assert not done
        waiting.cancel()
        holding[0].cancel()
        async with asyncio.timeout(10):
            assert await last == "done"
        assert started == ["holding"] * _AT_ONCE
        for task in holding:
            task.cancel()

    asyncio.run(main())


def test_an_error_gives_the_place_back(worker: Worker) -> None:
    async def fail() -> None:
        raise ValueError("so")

    async def main() -> None:
        for _ in range(_AT_ONCE + 1):
            with pytest.raises(ValueError, match="so"):
                await worker.run(fail)

    asyncio.run(main())
