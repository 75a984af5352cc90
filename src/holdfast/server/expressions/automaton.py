"""A nondeterministic automaton, run in time linear in the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.server.expressions.characters import Matcher

MATCH: Final = 0
"""The number of the state that ends a search."""

#: What a step costs that is not remembered, and each state that it reaches, in units of work.
_STEP: Final = 10
_REACHED: Final = 6
# How many states the remembered sets may have altogether.
_MAX_REMEMBERED: Final = 50_000


class State:
    """One state: eats a character, or forks without one, or holds only where an assertion does."""

    __slots__ = ("assertion", "matcher", "targets")

    def __init__(self, targets: list[int], matcher: Matcher | None = None, assertion: str = "") -> None:
        self.targets = targets
        self.matcher = matcher
        self.assertion = assertion


class Automaton:
    """Searches by sets of states; those it meets are remembered, so that a known character costs one look-up.

    Args:
        program: the states; number `MATCH` is the end.
        start: the number of the first state.
        widest: of how many parts the largest set of characters is made.

    """

    __slots__ = ("_asserts", "_known", "_program", "_remembered", "_start", "_widest")

    def __init__(self, program: list[State], start: int, widest: int = 1) -> None:
        self._widest = widest
        self._program = program
        self._start = start
        self._asserts = any(state.assertion for state in program)
        self._remembered = 0
        self._known: dict[tuple[frozenset[int], str, str], frozenset[int] | None] = {}

    def search(self, text: str, pay: Callable[[int], None] = lambda _: None) -> bool:
        """Say if a match begins anywhere in the text. `pay` is told the work, beyond one unit for each character."""
        states: frozenset[int] = frozenset()
        before = ""
        known = self._known
        for char in (*text, ""):
            place = self._place(before, char) if self._asserts else ""
            key = (states, char, place)
            if key in known:
                found = known[key]
            else:
                found = known[key] = self._step(states, char, place, pay)
                self._remember(found)
            if found is None:
                return True
            states, before = found, char
        return False

    def _remember(self, found: frozenset[int] | None) -> None:
        self._remembered += len(found or ()) + 1
        if self._remembered > _MAX_REMEMBERED:
            self._known.clear()
            self._remembered = 0

    def _step(self, states: frozenset[int], char: str, place: str, pay: Callable[[int], None]) -> frozenset[int] | None:
        """Return the states after a character, None if the match state is reached before it."""
        pay(_STEP + _REACHED * len(states))
        reached = self._reach([*states, self._start], place)
        pay((_REACHED + self._widest) * len(reached))
        if MATCH in reached:
            return None
        following: set[int] = set()
        for number in reached:
            state = self._program[number]
            if state.matcher is not None and char and state.matcher(char):
                following.update(state.targets)
        return frozenset(following)

    def _reach(self, waiting: list[int], place: str) -> set[int]:
        reached: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            reached.add(number)
            state = self._program[number]
            if state.matcher is None and (not state.assertion or state.assertion in place):
                waiting.extend(state.targets)
        return reached

    @staticmethod
    def _place(before: str, after: str) -> str:
        """Name the assertions that hold between two characters: `A z ^ $ b B`."""
        edge = _is_word(before) is not _is_word(after)
        return "".join(
            (
                "" if before else "A",
                "" if after else "z",
                "^" if before in {"", "\n"} else "",
                "$" if after in {"", "\n"} else "",
                "b" if edge else "B",
            )
        )


def _is_word(char: str) -> bool:
    return bool(char) and (char == "_" or (char.isascii() and char.isalnum()))
