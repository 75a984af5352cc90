"""Dates as people write them in queries."""

from __future__ import annotations

import pytest

from holdfast.server.api.common.parameters import read_time

DAY = 1_580_428_800_000  # 2020-01-31


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2020-01-31", DAY), ("2020-01-31 00:00:00.25", DAY + 250), ("2020-01-31T02:00+02:00", DAY),
        ("2020-01-30 23:00:00-01:00", DAY), ("1580428800", DAY), ("1580428800000", DAY), ("01/31/2020", DAY),
        ("1/31/2020 00:00:01", DAY + 1_000), ("Jan 31, 2020", DAY), ("31 jan 2020", DAY), ("January 31, 2020", DAY),
        ("0001-01-01 00:00:00+14:00", -62_135_647_200_000), ("1969-12-31 23:59:59.999", -1),
        ("31/01/2020", None), ("2020-02-30", None), ("now", None), ("", None), ("15804288", None), ("१५८०४२८८००", None),
    ],
)  # fmt: skip
def test_a_time(text: str, ms: int | None) -> None:
    assert read_time(text) == ms
