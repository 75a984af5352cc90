from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .world import FlowWorld

Make = Callable[..., FlowWorld]


@pytest.fixture(params=[False, True], ids=["", "crash"])
def world_of(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes worlds. Each test runs twice: undisturbed, and with a crash wherever it says `middle()`."""
    made: list[FlowWorld] = []

    def make(*functions: object, **options: object) -> FlowWorld:
        world = FlowWorld(*functions, crash=request.param, **options)  # type: ignore[arg-type]
        made.append(world)
        return world

    yield make
    for world in made:
        world.store.close()
