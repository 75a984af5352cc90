"""Values of options: what reads as what, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.server.config.kinds import Choice, Duration, Folder, Integer, Switch


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Duration(), "10", 10.0),
        (Duration(), "500ms", 0.5),
        (Duration(), "1.5h", 5_400.0),
        (Duration(), "2w", 1_209_600.0),
        (Switch(), "On", True),
        (Switch(), "0", False),
        (Choice("a", "b", also={"z": "b"}), "Z", "b"),
        (Integer(1), " 7 ", 7),
    ],
)
def test_texts(kind, text, value) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Duration(), "-1"), (Duration(), "1y"), (Duration(), ""),
        (Switch(), "maybe"), (Choice("a"), "b"), (Integer(1), "0"), (Integer(0, 9), "10"), (Integer(), "1.5"),
        (Folder(), ""),
    ],
)  # fmt: skip
def test_texts_that_are_none(kind, text) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        kind.parse(text)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(Duration(), True), (Switch(), "true"), (Switch(), 1), (Choice("a"), 1),
     (Integer(), True), (Integer(), "1"), (Integer(), 1.0), (Folder(), 3), (Duration(), -1)],
)  # fmt: skip
def test_values_of_files_have_types(kind, raw) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        kind.accept(raw)


@given(st.integers(0, 10**9))
def test_shown_values_read_back(number: int) -> None:
    assert Integer().parse(Integer().show(number)) == number


@given(st.integers(0, 10**6))
def test_shown_spans_read_back(ms: int) -> None:
    assert Duration().parse(Duration().show(ms / 1_000)) == pytest.approx(ms / 1_000)
