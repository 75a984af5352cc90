"""The worst loads of one sender or app, in brief (`python -m benchmarks.beside`: at length).

What counts is the CPU time of a turn of the server's loop, so that other programs on the machine fail nothing; the
times that others wait leave room for them.
"""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.beside import BAR_MS, KINDS, Seen, beside

#: Without bounds, each of these loads holds the loop for seconds. A collection of garbage is part of a turn.
TURN_MS = 2 * BAR_MS


@pytest.fixture(scope="module")
def alone() -> Seen:
    return asyncio.run(beside("none", 1.5))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_it_costs_the_others_little(kind: str, alone: Seen) -> None:
    seen = asyncio.run(beside(kind, 3.0))
    assert seen.turn <= TURN_MS, seen
    assert seen.health <= 10 * BAR_MS + 5 * alone.health, (seen, alone)
    assert seen.hop <= 10 * BAR_MS + 5 * alone.hop, (seen, alone)
