"""The functions that can run, and which of them an event starts (`protocol/flow-control.md` §1.2-1.3)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.protocol.functions import FunctionConfig


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
    """The trigger texts that an event name matches: itself, and a wildcard after each `/` and `.`."""
    return [name, *(name[: i + 1] + "*" for i, char in enumerate(name) if char in "/.")]


class Registry:
    """Active functions, by id, slug and trigger."""

    #: Event names seen are remembered with their listeners, up to this many.
    CACHE = 10_000

    __slots__ = ("_by_slug", "_by_trigger", "_cache", "functions")

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self._by_slug: dict[str, Function] = {}
        self._by_trigger: dict[str, dict[str, list[str]]] = {}
        self._cache: dict[str, tuple[Listener, ...]] = {}

    def replace(self, functions: Iterable[Function]) -> None:
        """Takes the whole set of active functions."""
        self.functions = {f.id: f for f in functions}
        self._by_slug = {f.slug: f for f in self.functions.values()}
        self._by_trigger = {}
        for function in self.functions.values():
            for trigger in function.config.triggers:
                if trigger.event:
                    conditions = self._by_trigger.setdefault(trigger.event, {}).setdefault(function.id, [])
                    conditions.append(trigger.expression)
        self._cache = {}

    def find(self, reference: str) -> Function | None:
        """A function by UUID or slug."""
        return self.functions.get(reference) or self._by_slug.get(reference)

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
