"""µs of CPU that flow control takes in the engine: per feature and run, and per dispatch behind a long queue.

python benchmarks/flow.py
"""

from __future__ import annotations

import gc
import itertools
import json
import time
from random import Random
from typing import TYPE_CHECKING

from holdfast.protocol.events import read_events
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.registration import decode_registration
from holdfast.protocol.responses import read_response
from holdfast.server.engine.changes import Dispatch
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.registry import Function
from holdfast.server.engine.settings import Settings
from holdfast.server.model.span import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_795_238_224_000
ROUNDS, RUNS, KEYS = 7, 1_000, 10_000
DONE = read_response(200, {"x-inngest-sdk": "inngest-py:v0.5.19"}, b'"done"', NOW)
CALL = Call("job", "", NOW, NOW, NOW, NOW, 0, 200, {}, 0)

FEATURES: dict[str, dict[str, object]] = {
    "concurrency": {"concurrency": 50},
    "concurrency by key": {"concurrency": {"limit": 1, "key": "event.data.k"}},
    "two limits": {"concurrency": [{"limit": 1, "key": "event.data.k"}, {"limit": 50}]},
    "whole-run concurrency": {"concurrency": {"fn": [{"limit": 50, "key": "event.data.k"}]}},
    "throttle by key": {"throttle": {"limit": 1_000_000, "period": "1s", "key": "event.data.k"}},
    "rate limit by key": {"rateLimit": {"limit": 1_000_000, "period": "1s", "key": "event.data.k"}},
    "idempotency": {"idempotency": "event.data.n"},
    "priority": {"priority": {"run": "event.data.p"}},
    "singleton by key": {"singleton": {"mode": "skip", "key": "event.data.n"}},
    "cancelOn with if": {"cancel": [{"event": "stop", "if": "event.data.k == async.data.k"}]},
    "timeouts": {"timeouts": {"start": "1m", "finish": "1h"}},
    "debounce by key": {"debounce": {"period": "1s", "key": "event.data.n"}},
    "batches of 10 (per event)": {"batchEvents": {"maxSize": 10, "timeout": "1m"}},
}


class Bench:
    """An engine without a server: commits are taken and thrown away."""

    def __init__(self, options: dict[str, object], workers: int = 100) -> None:
        self.ids = UlidSource(Random(1).getrandbits)
        self.engine = Engine(self.ids, lambda _: 0, Settings(workers=workers))
        self.now = NOW
        wire = {
            "id": "fn",
            "name": "fn",
            "triggers": [{"event": "go"}],
            "steps": {"step": {"id": "step", "name": "step", "runtime": {"url": "http://app"}}},
            **options,
        }
        (config,) = decode_registration(json.dumps({"functions": [wire]}).encode()).functions
        self.engine.configure([Function("fn", "app", "fn", "fn", 1, config)], NOW)
        self.calls: list[Dispatch] = []
        self.numbers = itertools.count()

    def send(self, count: int, keys: int = 100) -> float:
        """Sends events; the CPU that the engine took, s."""
        items = [{"name": "go", "data": {"n": n, "k": f"k{n % keys}", "p": n % 9}} for n in self._next(count)]
        events = read_events(
            json.dumps(items).encode(), content_type="application/json", now_ms=self.now, new_id=self.ids.next
        ).events
        start = time.process_time()
        for event in events:
            self.engine.on_event(event, self.now)
            self._turn()
        return time.process_time() - start

    def wait(self, ms: int) -> float:
        """Lets time pass."""
        self.now += ms
        start = time.process_time()
        while self.engine.on_timers(self.now):
            self._turn()
        self._turn()
        return time.process_time() - start

    def finish(self, count: int) -> float:
        """Completes called runs, the latest call first."""
        start = time.process_time()
        for _ in range(count):
            call = self.calls.pop()
            self.engine.on_answer(call.job, DONE, CALL, self.now)
            self._turn()
        return time.process_time() - start

    def _turn(self) -> None:
        for effect in self.engine.take_changes().effects:
            if isinstance(effect, Dispatch):
                self.calls.append(effect)

    def _next(self, count: int) -> Iterator[int]:
        return itertools.islice(self.numbers, count)


def per_run(options: dict[str, object]) -> float:
    """µs from an event to the end of its run: best of some rounds, what is slower is somebody else's load."""
    best = float("inf")
    for _ in range(ROUNDS):
        bench = Bench(options)
        gc.collect()
        spent = 0.0
        for _ in range(RUNS // 50):
            spent += bench.send(50)
            spent += bench.wait(1_000)
            spent += bench.finish(len(bench.calls))
        best = min(best, spent)
    return best / RUNS * 1e6


def per_dispatch(queued: int, options: dict[str, object], keys: int) -> float:
    """µs from an answer to the call that takes its place, with so many runs queued."""
    bench = Bench(options)
    bench.send(queued, keys)
    gc.collect()
    gc.freeze()
    best = min(bench.finish(100) for _ in range(ROUNDS))
    gc.unfreeze()
    return best / 100 * 1e6


def main() -> None:
    """Prints both tables."""
    plain = per_run({})
    print(f"{'one run, no feature':<40}{plain:8.1f} µs")
    for name, options in FEATURES.items():
        print(f"{'  + ' + name:<40}{per_run(options) - plain:+8.1f} µs")
    print(f"\nan answer and the dispatch after it, key of {KEYS:,} values, limit 1")
    for queued in (1_000, 10_000, 50_000):
        print(f"{queued:>10,} queued{'':<23}{per_dispatch(queued, FEATURES['concurrency by key'], KEYS):8.1f} µs")
    print("the same, one value")
    for queued in (1_000, 10_000, 50_000):
        print(f"{queued:>10,} queued{'':<23}{per_dispatch(queued, {'concurrency': 100}, 1):8.1f} µs")


if __name__ == "__main__":
    main()
