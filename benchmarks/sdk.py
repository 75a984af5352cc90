"""CPU of the SDK per call, without network: a function of one step, called to run it, and called to end.

    python benchmarks/sdk.py

The bar is 150 µs for each of the four.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from holdfast import Context, ContextSync, Inngest, TriggerEvent
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.consts import Framework
from holdfast.sdk.handler import CommHandler
from holdfast.sdk.plans import hash_step_id

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 3000
client = Inngest(app_id="bench", is_production=False)


@client.create_function(fn_id="sync", trigger=TriggerEvent(event="go"))
def plain(ctx: ContextSync) -> int:
    return ctx.step.run("a", lambda: 1)


@client.create_function(fn_id="async", trigger=TriggerEvent(event="go"))
async def waiting(ctx: Context) -> int:
    return await ctx.step.run("a", lambda: 1)


handler = CommHandler(client=client, framework=Framework.ASGI, functions=[plain, waiting])


def request(kind: str, steps: dict[str, Any]) -> CommRequest:
    event = {"name": "go", "data": {"order": 1}, "id": "e", "ts": 5, "user": {}}
    ctx = {"attempt": 0, "disable_immediate_execution": False, "run_id": "r", "stack": {"stack": [], "current": 0}}
    body = {"ctx": ctx, "event": event, "events": [event], "steps": steps, "use_api": False}
    query = {"fnId": f"bench-{kind}", "stepId": "step"}
    headers = {"content-type": "application/json", "x-request-id": "1", "user-agent": "Inngest"}
    return CommRequest(json.dumps(body).encode(), headers, query, None, "http://x/api/inngest")


def measure(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the microseconds of CPU that a call takes, the best of three rounds."""
    rounds = []
    for _ in range(3):
        started = time.process_time()
        for _ in range(calls):
            call()
        rounds.append((time.process_time() - started) / calls * 1e6)
    return min(rounds)


def main() -> None:
    done = {hash_step_id("a"): {"data": 1}}
    loop = asyncio.new_event_loop()

    async def several(steps: dict[str, Any]) -> None:
        for _ in range(CALLS):
            await handler.handle("POST", request("async", steps))

    baseline = measure(lambda: request("sync", {}))
    for name, steps in (("step", {}), ("end", done)):
        took = measure(lambda steps=steps: handler_sync.handle_sync("POST", request("sync", steps))) - baseline
        print(f"sync {name}: {took:.0f} µs")
        took = measure(lambda steps=steps: loop.run_until_complete(several(steps)), 1) / CALLS - baseline
        print(f"async {name}: {took:.0f} µs")
    loop.close()


handler_sync = CommHandler(client=client, framework=Framework.WSGI, functions=[plain])

if __name__ == "__main__":
    main()
