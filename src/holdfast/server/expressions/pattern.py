r"""RE2's patterns for `matches`, searched in time linear in the text, whatever the pattern.

Python's own `re` would do for most patterns, but one such as `(a+)+$` could then stop the server: here a pattern
becomes an automaton. As in RE2 there are no back-references and no look-around; scripts in `\p{…}` are not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from holdfast.server.expressions.automaton import MATCH, Automaton, State
from holdfast.server.expressions.characters import (
    CATEGORIES,
    PERL,
    POSIX,
    Matcher,
    any_but_newline,
    any_case,
    any_char,
    either,
    in_category,
    outside,
    within,
)
from holdfast.server.expressions.errors import ExpressionError

Part: TypeAlias = Callable[[int], int]
"""Adds a part of the pattern in front of a state; answers the state it starts with."""

_CACHE: Final = 32
#: What a character of a pattern costs when it is read, and a state when it is made, in units of work.
_READ: Final = 20
_STATE: Final = 10
_compiled: dict[str, Automaton] = {}
_MAX_STATES: Final = 2_000
_MAX_REPEAT: Final = 1_000
_MAX_NESTING: Final = 50
_MAX_COPIES: Final = 10_000
_CONTROL: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OCTAL: Final = frozenset("01234567")


def search(pattern: str, text: str, pay: Callable[[int], None] = lambda _: None) -> bool:
    """Return whether the pattern is found anywhere in the text; ExpressionError for a pattern that RE2 would refuse.

    `pay` is told the units of work before they are done, and may raise.
    """
    pay(len(pattern) + len(text))
    return _automaton(pattern, pay).search(text, pay)


def _automaton(pattern: str, pay: Callable[[int], None]) -> Automaton:
    known = _compiled.get(pattern)
    if known is None:
        pay(_READ * len(pattern))
        known = compiled(pattern, pay)
        if len(_compiled) >= _CACHE:
            del _compiled[next(iter(_compiled))]
        _compiled[pattern] = known
    return known


def compiled(pattern: str, pay: Callable[[int], None] = lambda _: None) -> Automaton:
    """Return a pattern to search with, for one thread alone; ExpressionError as for `search`."""
    parser = _Parser(pattern, pay)
    return Automaton(parser.program, parser.start, parser.widest)


class _Parser:
    """Reads a pattern from right to left of its grammar: each part is built in front of the state that follows it."""

    __slots__ = ("_at", "_copies", "_nesting", "_pay", "_source", "program", "start", "widest")

    def __init__(self, source: str, pay: Callable[[int], None]) -> None:
        self._pay = pay
        self.widest = 1
        self._source = source
        self._at = 0
        self._nesting = 0
        self._copies = 0
        self.program = [State([])]
        part = self._alternatives(frozenset())
        if self._at < len(source):
            raise self._wrong("unexpected )")
        self.start = part(MATCH)

    def _wrong(self, reason: str) -> ExpressionError:
        return ExpressionError(f"error parsing regexp: {reason}: `{self._source}`")

    def _peek(self, text: str) -> bool:
        return self._source.startswith(text, self._at)

    def _skip(self, text: str) -> bool:
        if not self._peek(text):
            return False
        self._at += len(text)
        return True

    def _next(self) -> str:
        if self._at >= len(self._source):
            raise self._wrong("unexpected end")
        self._at += 1
        return self._source[self._at - 1]

    def _add(self, targets: list[int], matcher: Matcher | None = None, assertion: str = "") -> int:
        if len(self.program) >= _MAX_STATES:
            raise self._wrong("expression too large")
        self._pay(_STATE)
        self.program.append(State(targets, matcher, assertion))
        return len(self.program) - 1

    def _alternatives(self, flags: frozenset[str]) -> Part:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise self._wrong("expression nests too deeply")
        parts: list[Part] = []
        while True:
            part, flags = self._sequence(flags)
            parts.append(part)
            if not self._skip("|"):
                break
        self._nesting -= 1
        if len(parts) == 1:
            return parts[0]
        return lambda following: self._add([part(following) for part in parts])

    def _sequence(self, flags: frozenset[str]) -> tuple[Part, frozenset[str]]:
        parts: list[Part] = []
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            part, flags = self._atom(flags)
            if part is not None:
                parts.append(self._repeated(part))

        return _chain(parts), flags

    def _atom(self, flags: frozenset[str]) -> tuple[Part | None, frozenset[str]]:
        char = self._next()
        if char == "(":
            return self._group(flags)
        if char in "*+?":
            raise self._wrong(f"missing argument to repetition operator: {char}")
        if char == "\\":
            return self._escape(flags), flags
        if char == "[":
            return self._one(self._set(), flags), flags
        if char == ".":
            return self._one(any_char if "s" in flags else any_but_newline, frozenset()), flags
        if char == "^":
            return self._assertion("^" if "m" in flags else "A"), flags
        if char == "$":
            return self._assertion("$" if "m" in flags else "z"), flags
        return self._one(within(((char, char),)), flags), flags

    def _one(self, matcher: Matcher, flags: frozenset[str]) -> Part:
        fitting = any_case(matcher) if "i" in flags else matcher
        return lambda following: self._add([following], fitting)

    def _assertion(self, name: str) -> Part:
        return lambda following: self._add([following], assertion=name)

    def _group(self, flags: frozenset[str]) -> tuple[Part | None, frozenset[str]]:
        inner = flags
        if self._skip("?P<") or (
            self._peek("?<") and not self._peek("?<=") and not self._peek("?<!") and self._skip("?<")
        ):
            name = self._until(">")
            if not name.isidentifier():
                raise self._wrong("invalid named capture")
        elif self._skip("?"):
            inner = self._flags(flags)
            if self._skip(")"):
                return None, inner
            if not self._skip(":"):
                raise self._wrong("invalid or unsupported Perl syntax")
        part = self._alternatives(inner)
        if not self._skip(")"):
            raise self._wrong("missing closing )")
        return part, flags

    def _flags(self, flags: frozenset[str]) -> frozenset[str]:
        adding = True
        while not (self._peek(":") or self._peek(")")):
            flag = self._next()
            if flag == "-" and adding:
                adding = False
            elif flag in "imsU":
                flags = flags | {flag} if adding else flags - {flag}
            else:
                raise self._wrong("invalid or unsupported Perl syntax")
        return flags

    def _until(self, end: str) -> str:
        stop = self._source.find(end, self._at)
        if stop < 0:
            raise self._wrong(f"missing {end}")
        found = self._source[self._at : stop]
        self._at = stop + len(end)
        return found

    def _repeated(self, part: Part) -> Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        self._skip("?")  # greedy or not: the answer of a search is the same
        if self._bounds() is not None:
            raise self._wrong("invalid nested repetition operator")
        least, most = bounds

        def build(following: int) -> int:
            if most is None:
                following = self._loop(part, following)
            else:
                end = following
                for _ in range(most - least):
                    following = self._add([self._copy(part, following), end])
            for _ in range(least):
                following = self._copy(part, following)
            return following

        return build

    def _copy(self, part: Part, following: int) -> int:
        self._copies += 1
        if self._copies > _MAX_COPIES:
            raise self._wrong("expression too large")
        return part(following)

    def _loop(self, part: Part, following: int) -> int:
        loop = self._add([following])
        self.program[loop].targets.append(part(loop))
        return loop

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._skip("*"):
            return 0, None
        if self._skip("+"):
            return 1, None
        if self._skip("?"):
            return 0, 1
        return self._counted() if self._peek("{") else None

    def _counted(self) -> tuple[int, int | None] | None:
        stop = self._source.find("}", self._at)
        least, comma, most = self._source[self._at + 1 : max(stop, 0)].partition(",")
        if stop < 0 or not _is_count(least) or not (_is_count(most) or not most):
            return None  # a brace that counts nothing is an ordinary character
        self._at = stop + 1
        low = int(least)
        high = int(most) if most else (None if comma else low)
        if max(low, high or 0) > _MAX_REPEAT or (high is not None and high < low):
            raise self._wrong("invalid repeat count")
        return low, high

    def _escape(self, flags: frozenset[str]) -> Part:
        char = self._next()
        if char in "bBAz":
            return self._assertion(char)
        if char == "Q":
            stop = self._source.find("\\E", self._at)
            quoted = self._source[self._at : stop if stop >= 0 else len(self._source)]
            self._at += len(quoted) + (2 if stop >= 0 else 0)
            return _chain([self._one(within(((each, each),)), flags) for each in quoted])
        matcher = self._class_escape(char)
        if matcher is None:
            literal = self._literal_escape(char)
            matcher = within(((literal, literal),))
        return self._one(matcher, flags)

    def _class_escape(self, char: str) -> Matcher | None:
        if char.lower() in PERL:
            inside = within(PERL[char.lower()])
            return outside(inside) if char.isupper() else inside
        if char not in "pP":
            return None
        name = self._until("}") if self._skip("{") else self._next()
        negated = name.startswith("^") is (char == "p")
        category = name.removeprefix("^")
        if category not in CATEGORIES and category != "Any":
            raise self._wrong("invalid character class range")
        inside = any_char if category == "Any" else in_category(category)
        return outside(inside) if negated else inside

    def _literal_escape(self, char: str) -> str:
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "x":
            digits = self._until("}") if self._skip("{") else self._next() + self._next()
            return self._code(digits, 16)
        if char == "0" or (char in "1234567" and self._source[self._at : self._at + 1] in _OCTAL):
            digits = char
            while len(digits) < 3 and self._source[self._at : self._at + 1] in _OCTAL:
                digits += self._next()
            return self._code(digits, 8)
        if char.isascii() and not char.isalnum() and char != "_":
            return char
        raise self._wrong("invalid escape sequence")

    def _code(self, digits: str, base: int) -> str:
        try:
            return chr(int(digits, base))
        except (ValueError, OverflowError):
            raise self._wrong("invalid escape sequence") from None

    def _set(self) -> Matcher:
        negated = self._skip("^")
        ranges: list[tuple[str, str]] = []
        matchers: list[Matcher] = []
        first = True
        while first or not self._skip("]"):
            first = False
            if self._skip("[:"):
                matchers.append(self._posix())
                continue
            low = self._member()
            if not isinstance(low, str):
                matchers.append(low)
                continue
            high: str | Matcher = low
            if self._peek("-") and not self._peek("-]"):
                self._next()
                high = self._member()
            if not isinstance(high, str) or high < low:
                raise self._wrong("invalid character class range")
            ranges.append((low, high))
        self.widest = max(self.widest, len(ranges) + len(matchers))
        inside = either([within(tuple(ranges)), *matchers])
        return outside(inside) if negated else inside

    def _member(self) -> str | Matcher:
        char = self._next()
        if char != "\\":
            return char
        char = self._next()
        return self._class_escape(char) or self._literal_escape(char)

    def _posix(self) -> Matcher:
        name = self._until(":]")
        ranges = POSIX.get(name.removeprefix("^"))
        if ranges is None:
            raise self._wrong("invalid character class range")
        return outside(within(ranges)) if name.startswith("^") else within(ranges)


def _chain(parts: list[Part]) -> Part:
    def build(following: int) -> int:
        for part in reversed(parts):
            following = part(following)
        return following

    return build


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()
