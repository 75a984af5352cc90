"""The functions that can run, and which of them an event starts (`protocol/flow-control.md` §1.2-1.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from holdfast.protocol.functions import FunctionConfig
from holdfast.protocol.limits import MAX_TRIGGER_NAME

T = TypeVar("T")


class Function(msgspec.Struct, frozen=True, gc=False):
    """A synced function, as the engine uses it."""

    id: str
    app_id: str
    slug: str
    name: str
    version: int
    config: FunctionConfig
    #: Whether its SDK checks signatures against the canonical form of what it received, so that any form may be sent.
    exact: bool = False

    @property
    def max_attempts(self) -> int:
        """Attempts per job: retries + 1."""
        return self.config.max_attempts


class Listener(msgspec.Struct, frozen=True, gc=False):
    """A function with those of its event triggers that match a name: their conditions, in declared order."""

    function: Function
    conditions: tuple[str, ...]  # "" = unconditional


def patterns(name: str) -> list[str]:
    """Return the trigger texts that an event name matches: itself, and a wildcard after each `/` and `.`.

    None is longer than a trigger's name may be.
    """
    start = name[: MAX_TRIGGER_NAME - 1]
    return [name, *(start[: i + 1] + "*" for i, char in enumerate(start) if char in "/.")]


class Registry:
    """Active functions, by id, slug and trigger."""

    #: Event names seen are remembered with their listeners, up to this many.
    CACHE = 10_000

    __slots__ = ("_by_slug", "_by_trigger", "_cache", "functions")

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self._by_slug: dict[str, dict[str, Function]] = {}  # of the same slug in two apps, the last one counts
        self._by_trigger: dict[str, dict[str, None]] = {}
        self._cache: dict[str, tuple[Listener, ...]] = {}

    def change(self, functions: Iterable[Function], removed: Iterable[str]) -> dict[str, Function | None]:
        """Take functions, new or changed, and lose others.

        Returns what was known before of each of them, by id.
        """
        before = {id: self._lose(id) for id in removed}
        for function in functions:
            before[function.id] = self._lose(function.id)
            self._add(function)
        self._cache = {}
        return before

    def _add(self, function: Function) -> None:
        self.functions[function.id] = function
        self._by_slug.setdefault(function.slug, {})[function.id] = function
        for trigger in function.config.triggers:
            if trigger.event:
                self._by_trigger.setdefault(trigger.event, {})[function.id] = None

    def _lose(self, id: str) -> Function | None:
        function = self.functions.pop(id, None)
        if function is None:
            return None
        _take(self._by_slug, function.slug, id)
        for name in {trigger.event for trigger in function.config.triggers if trigger.event}:
            _take(self._by_trigger, name, id)
        return function

    def find(self, reference: str) -> Function | None:
        """Return a function by UUID or slug."""
        found = self.functions.get(reference)
        return found or next(reversed(self._by_slug.get(reference, {}).values()), None)

    def listeners(self, name: str) -> tuple[Listener, ...]:
        """The functions that an event of this name may start."""
        found = self._cache.get(name)
        if found is None:
            if len(self._cache) >= self.CACHE:
                self._cache.clear()
            found = self._cache[name] = self._match(name)
        return found

    def _match(self, name: str) -> tuple[Listener, ...]:
        matching = [p for p in patterns(name) if p in self._by_trigger]
        if not matching:
            return ()
        ids = dict.fromkeys(i for p in matching for i in self._by_trigger[p])
        return tuple(Listener(self.functions[i], self._conditions(self.functions[i], matching)) for i in ids)

    @staticmethod
    def _conditions(function: Function, matching: list[str]) -> tuple[str, ...]:
        return tuple(t.expression for t in function.config.triggers if t.event in matching)


def _take(index: dict[str, dict[str, T]], key: str, id: str) -> None:
    """Take an entry out of an index, and its key with the last one."""
    del index[key][id]
    if not index[key]:
        del index[key]
