from __future__ import annotations

import pytest

from .world import World, function


@pytest.fixture
def world() -> World:
    """One function, `app-fn`, that the event `go` starts."""
    return World(function())
