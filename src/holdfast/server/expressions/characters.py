"""Sets of characters, as the patterns of `matches` name them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

Matcher: TypeAlias = Callable[[str], bool]
Ranges: TypeAlias = tuple[tuple[str, str], ...]

_DIGIT: Final[Ranges] = (("0", "9"),)
_WORD: Final[Ranges] = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Final[Ranges] = (("\t", "\n"), ("\f", "\r"), (" ", " "))
PERL: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
POSIX: Final[dict[str, Ranges]] = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "ascii": (("\0", "\x7f"),),
    "blank": (("\t", "\t"), (" ", " ")),
    "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
    "digit": _DIGIT,
    "graph": (("!", "~"),),
    "lower": (("a", "z"),),
    "print": ((" ", "~"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": (("\t", "\r"), (" ", " ")),
    "upper": (("A", "Z"),),
    "word": _WORD,
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}
CATEGORIES: Final = frozenset(
    [
        "C",
        "L",
        "M",
        "N",
        "P",
        "S",
        "Z",
        "Cc",
        "Cf",
        "Co",
        "Cs",
        "Ll",
        "Lm",
        "Lo",
        "Lt",
        "Lu",
        "Mc",
        "Me",
        "Mn",
        "Nd",
        "Nl",
        "No",
        "Pc",
        "Pd",
        "Pe",
        "Pf",
        "Pi",
        "Po",
        "Ps",
        "Sc",
        "Sk",
        "Sm",
        "So",
        "Zl",
        "Zp",
        "Zs",
    ]
)


def within(ranges: Ranges) -> Matcher:
    """Return a matcher of the characters in any of the ranges, ends included."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        only = ranges[0][0]
        return lambda char: char == only
    return lambda char: any(low <= char <= high for low, high in ranges)


def outside(inside: Matcher) -> Matcher:
    """Return a matcher of all other characters."""
    return lambda char: not inside(char)


def either(matchers: Iterable[Matcher]) -> Matcher:
    """Return a matcher of what any of the matchers takes."""
    several = tuple(matchers)
    return lambda char: any(matcher(char) for matcher in several)


def any_case(matcher: Matcher) -> Matcher:
    """Return a matcher of the same letters in either case."""
    return lambda char: matcher(char) or matcher(char.lower()) or matcher(char.upper())


def in_category(category: str) -> Matcher:
    """Return a matcher of a general category of Unicode, such as `L` or `Nd`."""
    return lambda char: unicodedata.category(char).startswith(category)


def any_char(_: str) -> bool:
    """Take every character."""
    return True


def any_but_newline(char: str) -> bool:
    """Take every character except the end of a line."""
    return char != "\n"
