"""The soak's own arithmetic, and that it sees a server."""

from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

import pytest

from benchmarks import soak


def _samples(*resident: float) -> list[soak.Sample]:
    return [soak.Sample(at * 60.0, mib, mib / 2, 1.0, 0) for at, mib in enumerate(resident)]


def test_growth_is_that_of_the_last_half() -> None:
    assert soak.growth(_samples(10, 50, 80, 90, 90, 90, 90, 90)) == pytest.approx(0)
    assert soak.growth(_samples(0, 0, 0, 0, 10, 11, 12, 13)) == pytest.approx(60)


def test_the_picture_is_svg_with_a_line_for_each_series() -> None:
    root = ET.fromstring(soak.picture(_samples(80, 90, 100)))
    assert len(root.findall("{*}polyline")) == len(soak.SERIES)


def test_a_short_soak_sends_at_its_rate_and_sees_memory() -> None:
    samples, grown = asyncio.run(soak.measure(0.1, 20))
    assert samples[-1].events >= 0.1 * 60 * 20 / 2
    assert all(20 < s.anonymous <= s.resident for s in samples)
    assert grown
