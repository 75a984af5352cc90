"""What expressions cost: microseconds per evaluation, and the index at 100,000 waits.

Run: python benchmarks/expressions.py
"""

from __future__ import annotations

import json
import sys
import timeit
import tracemalloc
from collections.abc import Callable
from time import perf_counter

from holdfast.server.expressions import Activation, EqualityIndex, compile, interpolate
from holdfast.server.expressions.parser import parse

WAITS = 100_000
EVENT = json.dumps(
    {
        "name": "shop/paid",
        "id": "01JZ",
        "ts": 1_700_000_000_123,
        "data": {"k": "customer-17", "n": 5, "tags": ["a", "b"], "mail": "jane@example.com"},
        "user": {},
    }
).encode()
WIDE = json.dumps({"name": "x", "data": {f"key{number}": f"value {number}" for number in range(50)}}).encode()
EXPRESSIONS = [
    "event.data.k == async.data.k",
    "event.data.k == async.data.k && async.data.n > 3",
    "event.data.n > 3 && event.data.mail.endsWith('.com')",
    "event.data.tags.exists(t, t == 'b')",
    "event.data.missing == 'x' || event.data.n >= 5",
    "event.data.mail.matches('^[a-z]+@example[.]com$')",
    "lowercase(event.data.k) + '-' + event.data.n",
]


def microseconds(run: Callable[[], object], number: int = 20_000) -> float:
    """Time the best of five rounds."""
    return min(timeit.repeat(run, number=number, repeat=5)) / number * 1e6


def report(what: str, cost: float) -> None:
    print(f"{cost:10.2f} µs  {what}")


def evaluations() -> None:
    scope = Activation(EVENT, EVENT)
    for text in EXPRESSIONS:
        expression = compile(text)
        report(text, microseconds(lambda expression=expression: expression.evaluate(scope)))  # type: ignore[misc]


def preparations() -> None:
    text = EXPRESSIONS[1]
    first = compile(EXPRESSIONS[0])
    report("parse, first time", microseconds(lambda: parse.__wrapped__(text), 2_000))
    report("compile, first time, parsed", microseconds(lambda: compile.__wrapped__(text), 2_000))
    report("compile, seen before", microseconds(lambda: compile(text)))
    report("interpolate", microseconds(lambda: interpolate(text, EVENT), 2_000))
    report("fresh activation and evaluation", microseconds(lambda: first.is_true(Activation(EVENT, EVENT)), 2_000))
    report("the same, 50 keys", microseconds(lambda: first.is_true(Activation(WIDE, WIDE)), 2_000))


def waits() -> None:
    texts = [f'"customer-{number}" == async.data.k' for number in range(WAITS)]
    keys = list(range(WAITS))
    index: EqualityIndex[int] = EqualityIndex()
    started = perf_counter()
    for key, text in zip(keys, texts, strict=True):
        index.add(key, text)
    report(f"index: add (of {WAITS:,})", (perf_counter() - started) / WAITS * 1e6)
    scope, other = Activation(None, EVENT), Activation(None, WIDE)
    assert index.matching(scope) == [17]
    report("index: event that one wait matches", microseconds(lambda: index.matching(scope)))
    report("index: unrelated event", microseconds(lambda: index.matching(other)))
    started = perf_counter()
    for key in keys:
        index.remove(key)
    report("index: remove", (perf_counter() - started) / WAITS * 1e6)


def memory() -> None:
    texts = [f'"customer-{number}" == async.data.k' for number in range(WAITS)]
    keys = list(range(WAITS))
    parse.cache_clear()
    tracemalloc.start()
    index: EqualityIndex[int] = EqualityIndex()
    for key, text in zip(keys, texts, strict=True):
        index.add(key, text)
    print(f"{tracemalloc.get_traced_memory()[0] / WAITS:10.0f} bytes per wait in the index")
    tracemalloc.stop()


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}")
    evaluations()
    preparations()
    waits()
    memory()
