"""A small shop on FastAPI, written with the official `inngest` package, that runs on Holdfast unchanged.

Start a server (`holdfast dev`), then this app, then tell the app to introduce itself to the server:

    uvicorn app:app --port 8000
    curl -X PUT http://127.0.0.1:8000/api/inngest

`python demo.py` does all three for you, and pulls the server's plug in the middle.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import os
from typing import Any

import fastapi
import inngest
import inngest.fast_api

SERVER = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:8288")

# The client knows who this app is and where its server is. `is_production=False` means: no keys, a development server.
client = inngest.Inngest(
    app_id="shop",
    api_base_url=SERVER,
    event_api_base_url=SERVER,
    is_production=False,
    logger=logging.getLogger("shop"),
)

# Everything the shop really did, in order: what a payment provider, a mail server, a warehouse would have seen.
ledger: list[dict[str, Any]] = []


def order_of(ctx: inngest.Context) -> str:
    return str(ctx.event.data["order"])


async def act(ctx: inngest.Context, what: str) -> str:
    """Stands for a call to the outside world: takes a moment and leaves a line in the ledger."""
    await asyncio.sleep(0.1)
    ledger.append({"order": order_of(ctx), "did": what, "attempt": ctx.attempt})
    return f"{what} done"


# A function is started by an event. Each `ctx.step.run` below is a *step*: once it has succeeded, its result is kept by
# the server. After a crash the function is called again from the top, finished steps return what they returned before,
# and the work goes on where it stopped.
@client.create_function(fn_id="fulfil-order", trigger=inngest.TriggerEvent(event="shop/order.placed"), retries=3)
async def fulfil_order(ctx: inngest.Context) -> dict[str, Any]:
    order = order_of(ctx)
    await ctx.step.run("reserve", act, ctx, "reserve")

    # This one fails at first. The server calls it again after a delay; nobody wrote a retry loop.
    async def charge() -> str:
        if ctx.attempt == 0:
            raise ConnectionError("the card network timed out")
        return await act(ctx, "charge")

    await ctx.step.run("charge", charge)

    # Three steps side by side. The function goes on when all of them are done.
    work = ("email", "invoice", "warehouse")
    await ctx.group.parallel(tuple(functools.partial(ctx.step.run, name, act, ctx, name) for name in work))

    # Asleep, a run is a row in the server's database: it costs nothing, and it may be days.
    await ctx.step.sleep("cool off", dt.timedelta(seconds=4))

    # Wait for another event, the one of this very order. None would mean that it did not come in time.
    shipped = await ctx.step.wait_for_event(
        "parcel shipped",
        event="shop/parcel.shipped",
        if_exp="event.data.order == async.data.order",
        timeout=dt.timedelta(days=3),
    )
    if shipped is None:
        return {"order": order, "state": "lost in the warehouse"}

    # Call another function and use what it returns; it has steps, retries and a history of its own.
    points = await ctx.step.invoke("award points", function=award_points, data={"order": order, "total": 42})
    return {"order": order, "state": "delivered", "parcel": shipped.data["parcel"], "points": points}


@client.create_function(fn_id="award-points", trigger=inngest.TriggerEvent(event="shop/points.due"))
async def award_points(ctx: inngest.Context) -> int:
    await ctx.step.run("write to account", act, ctx, "award")
    return int(str(ctx.event.data["total"])) // 10


# When a function has failed for good, its `on_failure` handler runs: a function too, with steps that are retried.
async def apologise(ctx: inngest.Context) -> str:
    origin: Any = ctx.event.data["event"]
    error: Any = ctx.event.data["error"]

    async def write() -> str:
        ledger.append({"order": origin["data"]["order"], "did": "apologise", "attempt": ctx.attempt})
        return f"Sorry! {error['message']}"

    return await ctx.step.run("write a letter", write)


@client.create_function(
    fn_id="refund",
    trigger=inngest.TriggerEvent(event="shop/order.returned"),
    retries=0,
    on_failure=apologise,
)
async def refund(ctx: inngest.Context) -> None:
    await ctx.step.run("inspect", act, ctx, "inspect")
    raise inngest.NonRetriableError("The parcel was empty.")


app = fastapi.FastAPI(title="shop")
inngest.fast_api.serve(app, client, [fulfil_order, award_points, refund])


@app.get("/ledger")
async def get_ledger() -> list[dict[str, Any]]:
    return ledger
