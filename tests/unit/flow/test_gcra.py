"""The generic cell rate algorithm against a leaky bucket that counts in fractions (flow-control.md §4.2, §4.3)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.clocks import Clocks
from holdfast.server.engine.flow.gcra import NS_PER_MS, Rate, rate, smoothed

SECOND = 1_000_000_000

rates = st.builds(rate, st.integers(1, 50), st.integers(1, 600).map(lambda s: s * SECOND), st.integers(0, 10))
gaps = st.lists(st.integers(0, 20_000).map(lambda ms: ms * NS_PER_MS), max_size=60)


class Bucket:
    """Each accepted one adds 1; it leaks 1 per `emission`; it holds `capacity`."""

    def __init__(self, of: Rate) -> None:
        self.emission = of.emission
        self.capacity = Fraction(of.tolerance, of.emission)
        self.level, self.at = Fraction(0), 0

    def accepts(self, now: int) -> bool:
        self.level = max(Fraction(0), self.level - Fraction(now - self.at, self.emission))
        self.at = now
        if self.level + 1 > self.capacity:
            return False
        self.level += 1
        return True


@given(rates, gaps)
def test_it_lets_through_what_a_leaky_bucket_does(of: Rate, waits: list[int]) -> None:
    bucket, clocks, changes, now = Bucket(of), Clocks("rate"), Changes(), 0
    for wait in waits:
        now += wait
        allowed = clocks.free_at("b", of, now) <= now
        assert allowed == bucket.accepts(now)
        if allowed:
            clocks.count("b", of, changes, now)


@given(rates, gaps)
def test_what_has_to_wait_waits_no_longer_than_needed(of: Rate, waits: list[int]) -> None:
    tat, now = 0, 0
    for wait in waits:
        now += wait
        free = of.free_at(tat, now)
        assert free >= now
        if free > now:
            assert of.free_at(tat, free) == free
            assert of.free_at(tat, free - 1) == free
        tat = of.after(tat, max(now, free))


@given(rates, gaps)
def test_no_window_holds_more_than_burst_and_rate(of: Rate, waits: list[int]) -> None:
    tat, now, accepted = 0, 0, []
    for wait in waits:
        now += wait
        if of.free_at(tat, now) <= now:
            tat = of.after(tat, now)
            accepted.append(now)
    for first in range(len(accepted)):
        for last in range(first, len(accepted)):
            span = accepted[last] - accepted[first]
            assert last - first + 1 <= of.tolerance // of.emission + span // of.emission + 1


@pytest.mark.parametrize(
    ("limit", "seconds", "at_once", "every"),
    [(1, 86_400, 1, 86_400), (5, 10, 1, 2), (10, 60, 2, 6), (100, 3_600, 11, 36), (19, 19, 2, 1)],
)
def test_rate_limits_are_smoothed(limit: int, seconds: int, at_once: int, every: int) -> None:
    of = smoothed(limit, seconds * SECOND)
    assert of.emission == every * SECOND
    assert of.tolerance // of.emission == at_once


class Kept(Clocks):
    SWEEP = 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3_000)), max_size=100))
def test_clocks_that_are_dropped_made_no_difference(calls: list[tuple[str, int]]) -> None:
    of, now = rate(2, SECOND, 1), 0
    swept, kept, changes = Clocks("rate"), Kept("rate"), Changes()
    for bucket, wait in calls:
        now += wait * NS_PER_MS
        free = swept.free_at(bucket, of, now)
        assert free == kept.free_at(bucket, of, now)
        if free <= now:
            swept.count(bucket, of, changes, now)
            kept.count(bucket, of, changes, now)
    stored = {key for (_, key), tat in changes.flow.items() if tat is not None}
    assert {b for b in "abcdef" if swept.free_at(b, of, now) > now} <= stored
