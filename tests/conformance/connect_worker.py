"""A worker of the official Python SDK, or with SDK=own of Holdfast's, which has the same names.

The environment says which: APP_ID, INSTANCE, SERVER_URL, SIGNING_KEY, LIMIT.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or os.environ.get("SDK") != "own":
    import inngest
    from inngest.connect import connect
else:
    import holdfast as inngest
    from holdfast.connect import connect

app_id, signing_key = os.environ["APP_ID"], os.environ.get("SIGNING_KEY")
logging.basicConfig(level=logging.INFO)
client = inngest.Inngest(
    app_id=app_id,
    app_version="1.2.3",
    api_base_url=os.environ["SERVER_URL"],
    event_api_base_url=os.environ["SERVER_URL"],
    event_key=os.environ.get("EVENT_KEY", "test"),
    signing_key=signing_key,
    is_production=signing_key is not None,
    logger=logging.getLogger("sdk"),
)


def function(name: str, retries: int = 0) -> object:
    return client.create_function(fn_id=name, retries=retries, trigger=inngest.TriggerEvent(event=f"{app_id}/{name}"))


@function("two-steps")
async def two_steps(ctx: inngest.Context) -> dict[str, object]:
    first = await ctx.step.run("first", lambda: 1)
    await ctx.step.sleep("nap", 50)
    return {"first": first, "second": await ctx.step.run("second", lambda: "é" * 3)}


@function("parallel")
async def parallel(ctx: inngest.Context) -> list[object]:
    return list(await ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2))))


@function("retried", retries=1)
async def retried(ctx: inngest.Context) -> int:
    if ctx.attempt == 0:
        raise inngest.RetryAfterError("once more", 1_000)
    return ctx.attempt


@function("fails", retries=3)
async def fails(ctx: inngest.Context) -> None:
    raise inngest.NonRetriableError("never")


@function("large")
async def large(ctx: inngest.Context) -> int:
    text = await ctx.step.run("text", lambda: "x" * 1_500_000)
    more = await ctx.step.run("more", lambda: "y" * 1_500_000)
    also = await ctx.step.run("also", lambda: "z" * 1_500_000)
    return len(text) + len(more) + len(also)


@function("slow")
async def slow(ctx: inngest.Context) -> str:
    try:
        await asyncio.sleep(float(str(ctx.event.data["seconds"])))
    except asyncio.CancelledError:
        logging.warning("slow was cancelled")  # noqa: LOG015 - a test reads it
        raise
    return os.environ["INSTANCE"]


async def main() -> None:
    limit = os.environ.get("LIMIT")
    functions = [two_steps, parallel, retried, fails, large, slow]
    apps: Any = [(client, functions)]
    await connect(
        apps,
        instance_id=os.environ["INSTANCE"],
        shutdown_signals=[signal.SIGTERM],
        max_worker_concurrency=int(limit) if limit else None,
    ).start()


asyncio.run(main())
