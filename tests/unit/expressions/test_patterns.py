"""The patterns of `matches`: RE2's syntax, compared with Python's `re`, and bounded in time."""

from __future__ import annotations

import re
import time
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.server.expressions import ExpressionError
from holdfast.server.expressions.pattern import search


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("", "", True),
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("^abc$", "abc\n", False),
        (r"\Aabc\z", "abc", True),
        ("(?m)^b$", "a\nb\nc", True),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        ("(?i)HeLLo", "hEllO", True),
        ("(?i)[a-c]{3}", "ABC", True),
        ("(?i:A)b", "ab", True),
        ("(?i:A)b", "aB", False),
        ("(?i)a(?-i)b", "AB", False),
        ("(?P<year>[0-9]{4})-(?<month>[0-9]{2})", "2026-01", True),
        (r"^[\w.+-]+@[\w-]+\.[\w.]+$", "a.b+c@example.com", True),
        (r"^[\w.+-]+@[\w-]+\.[\w.]+$", "a.b+c@example", False),
        (r"\bcat\b", "a cat!", True),
        (r"\bcat\b", "concat", False),
        (r"\Bcat", "concat", True),
        (r"\d{3,5}", "12", False),
        (r"^\d{3,5}$", "12345", True),
        (r"^\d{3,5}$", "123456", False),
        (r"^a{2}$", "aa", True),
        (r"^a{2,}?$", "aaaa", True),
        ("a{,2}", "a{,2}", True),
        ("x{", "x{", True),
        (r"[[:alpha:]]+[[:^digit:]]", "ab", True),
        (r"^[^[:alpha:]]$", "a", False),
        (r"^[]a]+$", "]a", True),
        (r"^[a-]+$", "a-", True),
        (r"^[\d\-x]+$", "1-x", True),
        (r"^\pL\p{Lu}\P{L}\p{^L}$", "aB12", True),
        (r"^\p{Any}$", "é", True),
        (r"\Qa.b\E+", "a.bbb", True),
        (r"\Qa.b", "axb", False),
        (r"^\x41\x{1F600}\101\t\.$", "A😀A\t.", True),
        ("^(a|b|)c$", "c", True),
        ("^(|a)*b$", "aab", True),
        ("^(a*)*$", "aaa", True),
        ("é+", "caféé", True),
    ],
)
def test_pattern(pattern: str, text: str, found: bool) -> None:
    assert search(pattern, text) is found


REFUSED = [
    *("(", ")", "a)", "[", "[a", "[b-a]", "*", "+a", "a**", "a{2}{3}", "a{3,2}", "a{1001}", r"\1", r"\q", "\\"),
    *(
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?P=a)",
        "(?P<1>a)",
        "(?x)a",
        "(?",
        r"\p{Nope}",
        "[[:nope:]]",
        r"\x{110000}",
    ),
    *(r"\xg1", "((((a{10}){10}){10}){10})", "((){1000}){1000}", "(" * 100 + ")" * 100, "(?i"),
]


@pytest.mark.parametrize("pattern", REFUSED)
def test_refused(pattern: str) -> None:
    with pytest.raises(ExpressionError, match="error parsing regexp: "):
        search(pattern, "aaa")


ATOMS = [
    *("a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", "(a|b)", "(?:ab)", r"\b", r"\B", "^", "$", "a*", "b+", "c?"),
    *("(ab)*", "a{2}", "b{1,3}", "(a|)", "|", "[a-c]", "(?i:A)", "(b*)*", "(a+)+", "(?:a|ab)(?:c|bcd)"),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(ATOMS), max_size=6), st.text("abcA1 \né", max_size=10))
def test_like_re(atoms: list[str], text: str) -> None:
    pattern = "".join(atoms)
    assume(text or r"\B" not in pattern)  # Python's \B does not hold in an empty text, RE2's does
    theirs = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    assert search(pattern, text) is bool(theirs.search(text))


@settings(deadline=None)
@given(st.text("ab()[]{}*+?|^$\\.-:<>P=!iQdpLxz019,", max_size=20), st.text("ab1", max_size=5))
def test_any_pattern(pattern: str, text: str) -> None:
    with suppress(ExpressionError):
        search(pattern, text)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(a*)*b", ".*x.*y", "(?:a?){50}a{50}$c"])
def test_time_is_linear(pattern: str) -> None:
    started = time.process_time()
    assert not search(pattern, "a" * 50_000 + "!")
    assert time.process_time() - started < 5
