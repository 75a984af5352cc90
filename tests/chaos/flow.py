"""Flow control under `kill -9`: the functions that have it, what the app sees of it, and what must hold in the end."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Generator

    from api.serving import Served

GROUPS = 8
KEY = "event.data.group"
BATCH = 5
STARTS_PER_S = 7
"""Less than the load asks for, so that runs wait across kills."""
LATE = 7
"""So many throttled calls may reach the app later than they were let through."""
FLOW: dict[str, dict[str, Any]] = {
    "limited": {"concurrency": [{"limit": 3}]},
    "throttled": {"throttle": {"limit": STARTS_PER_S, "period": "1s", "burst": 0}},
    "batched": {"batchEvents": {"maxSize": BATCH, "timeout": "2s"}},
    "debounced": {"debounce": {"period": "1s", "key": KEY}},
    "keyed": {"concurrency": [{"limit": 1, "key": KEY}]},
    "whole": {"concurrency": {"fn": [{"limit": 8}]}},
    "singleton": {"singleton": {"mode": "skip", "key": KEY}},
}
CALLS_AT_ONCE = {"limited": 3, "keyed": 1}
RUNS_AT_ONCE = {"whole": 8, "singleton": 1}
"""From a run's first call to its end, over all starts of the server."""
PER_GROUP = frozenset({"keyed", "singleton"})

_NUMBERS = "SELECT json_extract(json, '$.data.n') FROM events WHERE name = ?"
CARRIED = (
    "SELECT json_extract(e.json, '$.data.n'), r.id, r.status"
    " FROM events e JOIN event_runs er ON er.event_id = e.id JOIN runs r ON r.id = er.run_id WHERE e.name LIKE ?"
)
"""Events with their runs: number of the event, run id, status of the run. By the name of the events."""


def group_of(number: int) -> str:
    """The key that the event of this number has."""
    return f"g{number % GROUPS}"


class Places:
    """Which calls and runs were under way at once, as the app saw them."""

    def __init__(self) -> None:
        self.life = 0
        """Counts the starts of the server: calls of a killed one hold no place."""
        self.calls: Counter[tuple[int, str, str]] = Counter()
        self.runs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.starts: dict[str, float] = {}
        """When each throttled run was first called, s."""
        self.exceeded: list[str] = []

    @contextmanager
    def calling(self, function: str, run: str, group: str) -> Generator[None]:
        """One call, until it is answered."""
        if function == "throttled":
            self.starts.setdefault(run, time.monotonic())
        key = group if function in PER_GROUP else ""
        place = self.life, function, key
        self.calls[place] += 1
        runs = self.runs[function, key]
        runs.add(run)
        if self.calls[place] > CALLS_AT_ONCE.get(function, 1_000) or len(runs) > RUNS_AT_ONCE.get(function, 10_000):
            self.exceeded.append(f"{function} {key}: {self.calls[place]} calls, {len(runs)} runs")
        try:
            yield
        finally:
            self.calls[place] -= 1

    def ended(self, function: str, run: str, group: str) -> None:
        """The run has answered its last call; should that answer be lost, it is called again."""
        self.runs[function, group if function in PER_GROUP else ""].discard(run)

    def too_fast(self) -> list[str]:
        """The stretches in which more throttled runs started than the rate allows."""
        at = sorted(self.starts.values())
        return [
            f"{j - i + 1} starts in {at[j] - at[i]:.2f} s"
            for i in range(len(at))
            for j in range(i, len(at))
            if j - i + 1 > (at[j] - at[i] + 1) * STARTS_PER_S + LATE
        ]


def check_flow(server: Served, places: Places, acknowledged: dict[int, str], *, few: bool = False) -> None:
    """What flow control promised, once everything has ended."""
    too_fast = places.too_fast()
    assert not places.exceeded, f"over their limits: {places.exceeded}"
    assert not too_fast, f"throttled: {too_fast[:5]}"
    _check_debounced(server, acknowledged, few=few)
    if not few:
        _check_batched(server)
    _check_singletons(server, acknowledged, few=few)


def _check_debounced(server: Served, acknowledged: dict[int, str], *, few: bool) -> None:
    """The last event of a group must not stay behind, whether or not the kill let it be acknowledged."""
    stored = {n for (n,) in server.query(_NUMBERS, "chaos/debounced")}
    assert {n for n, shape in acknowledged.items() if shape == "debounced"} <= stored
    last = {group_of(n): n for n in sorted(stored)}
    carried = {n for n, _, _ in server.query(CARRIED, "chaos/debounced")}
    assert set(last.values()) <= carried, "the last debounced event of a group started no run"
    assert few or len(carried) < len(stored)


def _check_batched(server: Served) -> None:
    sizes = Counter(run for _, run, _ in server.query(CARRIED, "chaos/batched"))
    assert max(sizes.values()) == BATCH


def _check_singletons(server: Served, acknowledged: dict[int, str], *, few: bool) -> None:
    rows = server.query(CARRIED, "chaos/singleton")
    sent = {group_of(n) for n, shape in acknowledged.items() if shape == "singleton"}
    completed = {group_of(n) for n, _, status in rows if status == RunStatus.COMPLETED}
    assert sent <= completed, f"groups without a singleton that completed: {sent - completed}"
    assert few or any(status == RunStatus.SKIPPED for _, _, status in rows)
