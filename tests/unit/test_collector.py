"""The collector of a server: what is there at its start stays, and what comes is looked at less often."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from holdfast.server.serve.collector import COLLECT_AFTER, WORTH, YOUNG_LOOKS, collect_at_rest, settle


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def settled() -> Iterator[None]:
    before = gc.get_threshold()
    settle()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("settled")
def test_a_server_looks_for_garbage_less_often_and_not_at_what_it_started_with() -> None:
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[:2] == (COLLECT_AFTER, YOUNG_LOOKS)


@pytest.mark.usefixtures("settled")
def test_all_objects_are_looked_at_while_the_server_rests_if_it_has_worked() -> None:
    async def main() -> None:
        cycle = Cycle()
        gc.collect(1)  # it is old now
        found = weakref.ref(cycle)
        del cycle
        collecting = asyncio.ensure_future(collect_at_rest(0.05))
        await asyncio.sleep(0.3)
        assert found() is not None, "nothing was done since: not worth it"
        for _ in range(WORTH):
            gc.collect(1)
        for _ in range(200):
            if found() is None:
                break
            await asyncio.sleep(0.05)
        assert found() is None
        collecting.cancel()

    gc.collect()
    asyncio.run(main())
