"""µs of CPU that the codecs of the hot path take: per event of a batch, per answered step, per failed call.

python benchmarks/codecs.py
"""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

from holdfast.protocol.errors import standard_error
from holdfast.protocol.events import load_event, read_events
from holdfast.protocol.ids import ulid
from holdfast.protocol.opcodes import parse_ops
from holdfast.protocol.responses import read_response

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_795_238_224_000
ROUNDS, CALLS = 7, 2_000
SDK = {"x-inngest-sdk": "inngest-py:v0.5.19", "x-inngest-req-version": "2", "content-type": "application/json"}

EVENT = {
    "name": "shop/order.created",
    "data": {
        "id": "o-1",
        "total": 12.5,
        "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}],
        "mail": "a@example.com",
    },
    "ts": NOW,
}
STEP = {
    "op": "StepRun", "id": "7a85f4764bbd6daf1c3545efbbf0f279a6dc0beb", "name": "charge", "displayName": "charge",
    "opts": None, "data": {"ok": True}, "userland": {"id": "charge", "index": None},
    "timing": {"a": NOW * 1_000_000, "b": 12_000_000},
}  # fmt: skip
FAILURE = {"name": "ValueError", "message": "boom", "code": "unknown", "stack": "Traceback …\n" * 10}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def measure(name: str, call: Callable[[], object], *, per: int = 1) -> None:
    """Print the best round: what is slower is somebody else's load."""
    calls = max(CALLS // per, 20)
    best = min(_round(call, calls) for _ in range(ROUNDS))
    print(f"{name:<44}{best / calls / per * 1e6:8.2f} µs")


def _round(call: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - start


def main() -> None:
    counter = itertools.count()

    def intake(body: bytes) -> Callable[[], object]:
        def new_id(ms: int) -> str:
            return ulid(ms, next(counter))

        return lambda: read_events(body, content_type="application/json", now_ms=NOW, new_id=new_id)

    measure("event, alone", intake(encode(EVENT)))
    measure("event, in a batch of 100", intake(encode([EVENT] * 100)), per=100)
    measure("event, in a batch of 100 that ends badly", intake(encode([*[EVENT] * 99, {"name": 5}])), per=100)
    stored = b'{"data":{},"id":"x","name":"a","ts":1,"user":{}}'
    measure("event, from its row", lambda: load_event("01J", "a", "x", 1, 1, stored))
    one, ten, failure = encode([STEP]), encode([STEP] * 10), encode(FAILURE)
    measure("operations, one", lambda: parse_ops(one))
    measure("operations, ten, each", lambda: parse_ops(ten), per=10)
    measure("answer: one operation", lambda: read_response(206, SDK, one, NOW))
    measure("answer: a result", lambda: read_response(200, SDK, b'{"ok":true}', NOW))
    measure("answer: a failure", lambda: read_response(500, SDK, failure, NOW))
    measure("standard error", lambda: standard_error(failure, "invalid status code: 500"))


if __name__ == "__main__":
    main()
