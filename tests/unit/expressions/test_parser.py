"""Whatever the text, compiling it answers or raises ExpressionError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.functions import ExpressionUse
from holdfast.server.expressions import Activation, ExpressionError, check, check_wait, compile, interpolate
from holdfast.server.expressions.parser import MAX_DEPTH, MAX_LENGTH

EVENT = b'{"name":"a","data":{"a":1,"b":"x","c":[1,2]}}'

SIGNS = ". . ( ) [ ] { } , : ? + - * / % ! == != < <= > >= && || // @ # = & ` $"
NAMES = "event async data a b in true false null has exists all map filter size matches int date now for x"
LITERALS = r"""1 1u 1.5 .5 0x1f 99e99 'x' "y" r'\' b'z' '\u0041' '\q '"""
WORDS = st.sampled_from([*f"{SIGNS} {NAMES} {LITERALS}".split(), "\n"])


def feed(text: str) -> None:
    """Do everything there is to do with a text."""
    for use in ExpressionUse:
        error = check(text, use)
        assert error is None or error.startswith("error compiling expression: ")
    check_wait(text)
    if check(text, ExpressionUse.PRIORITY) is not None:
        with pytest.raises(ExpressionError, match="error compiling expression: ERROR: <input>:"):
            compile(text)
        return
    expression = compile(text)
    interpolate(text, EVENT)
    scope = Activation(EVENT, EVENT)
    expression.is_true(scope)
    for ask in (expression.evaluate, expression.key):
        with suppress(ExpressionError):
            ask(scope)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    feed(text)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=14))
def test_any_words(words: list[str]) -> None:
    feed(" ".join(words))


@settings(deadline=None)
@given(st.lists(WORDS, max_size=14))
def test_any_words_glued_together(words: list[str]) -> None:
    feed("".join(words))


@pytest.mark.parametrize(
    ("before", "core", "after"),
    [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("a[", "1", "]"),
        ("size(", "1", ")"),
        ("-(", "1", ")"),
        ("1+", "1", ""),
        ("", "1", "+1"),
        ("a.", "b", ""),
        ("", "a", "[0]"),
        ("", "a", ".b"),
        ("", "a", ".size()"),
        ("true?", "1", ":1"),
        ("true?1:", "1", ""),
        ("[1].exists(x,", "true", ")"),
        ("true&&(", "true", ")"),
        ("!", "true", ""),
        ("-", "a", ""),
        ("1==", "1", ""),
        ("(1+", "1", ")+1" * 50),
    ],
)
@pytest.mark.parametrize("depth", [MAX_DEPTH - 5, MAX_DEPTH + 5, 1000, 5000])
def test_nesting_is_bounded(before: str, core: str, after: str, depth: int) -> None:
    depth = min(depth, MAX_LENGTH // len(before + core + after))
    feed(before * depth + core + after * depth)


def test_deep_nesting_is_named() -> None:
    with pytest.raises(ExpressionError, match="expression recursion limit exceeded"):
        compile("(" * 200 + "1" + ")" * 200)


def test_called_from_deep_within() -> None:
    def dive(left: int) -> bool:
        return dive(left - 1) if left else compile("((((((((1))))))))+1 == 2 && event.data.a == 1").is_true(scope)

    scope = Activation(EVENT)
    answers = set()
    for left in range(600, 1000, 5):
        compile.cache_clear()
        try:
            answers.add(dive(left))
        except (ExpressionError, RecursionError):
            break
    assert answers <= {True, False}


def test_long_chains_of_logic_are_fine() -> None:
    text = " && ".join(f"event.data.a != {number}" for number in range(2, 2000))
    assert compile(text).is_true(Activation(EVENT))
    assert interpolate(text, EVENT).text == "true"


def test_length_is_bounded() -> None:
    assert compile("'" + "x" * (MAX_LENGTH - 2) + "'").text
    with pytest.raises(ExpressionError, match="expression code point size exceeds limit: size: 100001, limit 100000"):
        compile("'" + "x" * (MAX_LENGTH - 1) + "'")
