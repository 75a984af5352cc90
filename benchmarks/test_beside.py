"""The worst loads of one sender or app, in brief (`python -m benchmarks beside`: at length).

What counts is the CPU time of a turn of the server's loop, so that other programs on the machine fail nothing. Of the
times that others wait only this: they don't wait for a whole load, as they would if one turn took it.
"""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.beside import BAR_MS, KINDS, Seen, beside

#: Without bounds, each of these loads holds the loop for seconds. A collection of garbage is part of a turn.
TURN_MS = 4 * BAR_MS
#: On a machine that does ten other things; it is compared with what others wait beside nothing.
WAIT_MS, WAIT_RATIO = 5_000, 20


@pytest.fixture(scope="module")
def alone() -> Seen:
    return asyncio.run(beside("none", 1.5))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_it_costs_the_others_little(kind: str, alone: Seen) -> None:
    seen = asyncio.run(beside(kind, 2.0))
    assert seen.turn <= TURN_MS, seen
    assert seen.health <= WAIT_MS + WAIT_RATIO * alone.health, (seen, alone)
    assert seen.hop <= WAIT_MS + WAIT_RATIO * alone.hop, (seen, alone)
