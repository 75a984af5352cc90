"""Random functions, as little programs, and what they do with the steps that are memoised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

Kind = Literal["run", "sleep", "wait", "signal", "invoke", "fetch"]
ALWAYS = 99


@cache
def hashed(step: str) -> str:
    return hashlib.sha1(step.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Node:
    """One step. `fails` attempts of it fail; a step that always fails is caught by the program, or ends it."""

    id: str
    kind: Kind
    race: bool = False
    fails: int = 0
    caught: bool = True
    text: str = ""  # a duration, or what is invoked or waited for
    timeout: str = ""
    shared: bool = False  # a signal that another run may take away

    @property
    def hash(self) -> str:
        return hashed(self.id)


@dataclass(frozen=True)
class Parallel:
    branches: tuple[tuple[Item, ...], ...]
    race: bool = False


Item = Node | Parallel


@dataclass(frozen=True)
class Program:
    slug: str
    items: tuple[Item, ...]
    throws: bool = False  # at its end
    version: int = 2
    checkpoints: bool = False
    retries: int = 4
    defers: tuple[str, ...] = ()

    def nodes(self) -> Iterator[Node]:
        return _nodes(self.items)


def _nodes(items: tuple[Item, ...]) -> Iterator[Node]:
    for item in items:
        if isinstance(item, Node):
            yield item
        else:
            for branch in item.branches:
                yield from _nodes(branch)


class ThrownError(Exception):
    """A failed step that the program doesn't catch."""


@dataclass
class Walk:
    """How far a program gets: `found` are the steps it reaches that have no result yet."""

    found: list[Node]
    done: bool = False
    thrown: str = ""


def walk(program: Program, memo: Mapping[str, bytes]) -> Walk:
    """Runs a program from its top, as an SDK does on each call."""
    result = Walk([])
    try:
        result.done = _sequence(program.items, memo, result.found)
    except ThrownError as error:
        result.thrown = str(error)
    else:
        if result.done and program.throws:
            result.thrown = "at the end"
    return result


def _sequence(items: tuple[Item, ...], memo: Mapping[str, bytes], found: list[Node]) -> bool:
    for item in items:
        if isinstance(item, Node):
            result = memo.get(item.hash)
            if result is None:
                found.append(item)
                return False
            if not item.caught and result.startswith(b'{"error"'):
                raise ThrownError(item.id)
        else:
            ends = [_sequence(branch, memo, found) for branch in item.branches]
            if not (any(ends) if item.race else all(ends)):
                return False
    return True


class Author:
    """Writes random programs."""

    def __init__(self, random: Random, targets: list[str]) -> None:
        self._random = random
        self._targets = targets
        self._count = 0

    def write(self, slug: str, most: int = 5, *, defers: bool = False) -> Program:
        random = self._random
        self._count = 0
        items = tuple(self._item(slug, depth=0) for _ in range(random.randint(0, most)))
        return Program(
            slug,
            items,
            throws=random.random() < 0.1,
            version=random.choice((2, 2, 2, 1)),
            checkpoints=random.random() < 0.4,
            retries=random.randint(3, 6),
            defers=tuple(f"{slug}-defer-{n}" for n in range(random.choice((0, 0, 0, 1, 2)) if defers else 0)),
        )

    def _item(self, slug: str, depth: int, *, race: bool = False) -> Item:
        if depth < 2 and self._random.random() < 0.25:
            race = race or self._random.random() < 0.3
            width = self._random.randint(2, 3)
            branches = tuple(
                tuple(self._item(slug, depth + 1, race=race) for _ in range(self._random.randint(1, 2)))
                for _ in range(width)
            )
            return Parallel(branches, race)
        return self._node(slug, race=race)

    def _node(self, slug: str, *, race: bool) -> Node:
        random = self._random
        self._count += 1
        kind: Kind = random.choice(("run", "run", "run", "run", "sleep", "wait", "signal", "invoke", "fetch"))
        id = f"{slug}-{kind}-{self._count}"
        timeout = random.choice(("30s", "5m", "2h", "1d"))
        if kind == "run":
            fails = random.choice((0, 0, 0, 0, 1, 2, ALWAYS))
            return Node(id, kind, race, fails, caught=race or random.random() < 0.6)
        if kind == "sleep":
            return Node(id, kind, race, text=random.choice(("0s", "1s", "30s", "10m", "3h", "1d")))
        if kind == "wait":
            return Node(id, kind, race, text=random.choice(("w/1", "w/2")), timeout=timeout)
        if kind == "signal":
            return Node(id, kind, race, timeout=timeout, shared=random.random() < 0.5)
        if kind == "invoke" and self._targets:
            target = random.choice((*self._targets, "app-nobody"))
            return Node(id, kind, race, text=target, timeout=random.choice(("", "", "1h")))
        return Node(id, "fetch", race)
