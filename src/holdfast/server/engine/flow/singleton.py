"""Singletons (`protocol/flow-control.md` §4.7): one run per key, from its scheduling to its end."""

from __future__ import annotations

from holdfast.protocol.functions import Singleton
from holdfast.server.engine.flow import keys
from holdfast.server.expressions import Activation


class Singletons:
    """Which run holds each key. Nothing is stored: a run's own state tells what it holds."""

    __slots__ = ("holders",)

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}

    @staticmethod
    def key(config: Singleton, function_id: str, activation: Activation) -> str:
        """Return the key that an event's run would hold; nothing if it is no singleton for this event."""
        if not config.key:
            return function_id
        value = keys.value(config.key, activation)
        return "" if value in {keys.NONE, keys.INVALID} else keys.bucket_of(function_id, value)

    def release(self, key: str, run_id: str) -> None:
        """Give a key back, unless another run took it over."""
        if self.holders.get(key) == run_id:
            del self.holders[key]
