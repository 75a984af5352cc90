"""Short works of many owners: what one turn of the loop does of them, and in which order."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from holdfast.server.runtime import rotation
from holdfast.server.runtime.rotation import SLICE_S, Rotation


class Clock:
    """Stands for the time that works take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rotation, "perf_counter", made)
    return made


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_works_are_done_at_once_while_the_turn_has_time_left(clock: Clock) -> None:
    async def main() -> None:
        works, done = Rotation(), list[int]()

        def work(number: int) -> None:
            clock.now += SLICE_S / 2
            done.append(number)

        for number in range(5):
            works.do("one", partial(work, number))
        assert done == [0, 1]
        assert not works.free
        await turns(1)
        assert done == [0, 1, 2, 3]
        await turns(1)
        assert done == [0, 1, 2, 3, 4]
        await turns(1)
        assert works.free

    asyncio.run(main())


def test_owners_take_turns(clock: Clock) -> None:
    async def main() -> None:
        works, done = Rotation(), list[str]()

        def work(owner: str) -> None:
            clock.now += SLICE_S
            done.append(owner)

        for owner in ["many"] * 10 + ["few"]:
            works.do(owner, partial(work, owner))
        await turns(3)
        assert done == ["many", "many", "few", "many"]

    asyncio.run(main())


def test_a_work_may_bring_another(clock: Clock) -> None:
    async def main() -> None:
        works, done = Rotation(), list[str]()

        def outer() -> None:
            clock.now += SLICE_S
            works.do("one", lambda: done.append("inner"))
            done.append("outer")

        works.do("one", outer)
        await turns(2)
        assert done == ["inner", "outer"], "its time is not counted yet"
        assert works.free

    asyncio.run(main())


def test_a_work_that_raises_costs_the_others_nothing(clock: Clock) -> None:
    async def main() -> None:
        works, done, errors = Rotation(), list[int](), list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

        def work(number: int) -> None:
            clock.now += SLICE_S
            if number == 1:
                raise ValueError(number)
            done.append(number)

        for number in range(3):
            works.do("one", partial(work, number))
        await turns(3)
        assert done == [0, 2]
        assert [str(error) for error in errors] == ["1"]

    asyncio.run(main())
