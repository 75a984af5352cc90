"""An app that shows everything a run can look like: `python -m tests.ui.showcase SERVER_URL PORT`.

Made with the official SDK. Used by the journeys and by whoever looks at the screens: steps in a row and side by side,
retries, failures, sleeps, waits, limits, large outputs, a model's tokens.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import typing

import fastapi
import inngest
import inngest.fast_api
import uvicorn

APP = "shop"


def make_app(server: str) -> fastapi.FastAPI:
    client = inngest.Inngest(
        app_id=APP, api_base_url=server, event_api_base_url=server, is_production=False, event_key="showcase"
    )
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, functions(client))
    return app


def on(client: inngest.Inngest, name: str, event: str, **options: typing.Any) -> typing.Any:
    trigger = inngest.TriggerEvent(event=event)
    return client.create_function(fn_id=name.lower().replace(" ", "-"), name=name, trigger=trigger, **options)


class PaymentDeclinedError(Exception):
    pass


def functions(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """Every function of the app."""
    return [*orders(client), *failing(client), *waiting(client), *limited(client), *large(client)]


def orders(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """What goes well: steps in a row, side by side, and one that recovers."""

    @on(client, "Fulfil order", "shop/order.placed")
    async def fulfil(ctx: inngest.Context) -> dict[str, object]:
        order = await ctx.step.run("load order", work, 0.02, {"order": ctx.event.data.get("order"), "lines": 3})
        stock, price = await ctx.group.parallel(
            (
                lambda: ctx.step.run("reserve stock", work, 0.12, {"warehouse": "Leipzig", "reserved": 3}),
                lambda: ctx.step.run("calculate price", work, 0.05, {"total": 129.9, "currency": "EUR"}),
            )
        )
        await ctx.step.run("charge card", work, 0.08, {"charge": "ch_3Pq"})
        await ctx.step.sleep("let it settle", dt.timedelta(milliseconds=300))
        await ctx.step.send_event("announce", inngest.Event(name="shop/order.fulfilled", data={"order": order}))
        return {"order": order, "stock": stock, "price": price}

    @on(client, "Send receipt", "shop/order.fulfilled")
    async def receipt(ctx: inngest.Context) -> str:
        return await ctx.step.run("render mail", work, 0.03, "sent to anna@example.com")

    @on(client, "Sync stock", "shop/stock.changed", retries=4)
    async def recovering(ctx: inngest.Context) -> str:
        async def flaky() -> str:
            if ctx.attempt < 2:
                raise inngest.RetryAfterError("warehouse answers 503", retry_after=dt.timedelta(milliseconds=900))
            return "in sync"

        return await ctx.step.run("ask warehouse", flaky)

    @on(client, "Count view", "shop/page.viewed")
    async def count_view(ctx: inngest.Context) -> str:
        return "counted"

    return [fulfil, receipt, recovering, count_view]


def failing(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """What fails: at once, after retries, and in the function itself."""

    @on(client, "Charge card", "shop/card.charge", retries=0)
    async def charge(ctx: inngest.Context) -> None:
        async def decline() -> None:
            raise PaymentDeclinedError("card 4242 was declined: insufficient funds\nask the customer for another card")

        await ctx.step.run("ask the bank", decline)

    @on(client, "Import catalogue", "shop/catalogue.import", retries=3)
    async def import_catalogue(ctx: inngest.Context) -> None:
        async def parse() -> None:
            raise inngest.RetryAfterError(f"line {ctx.attempt + 17}: no price", retry_after=dt.timedelta(seconds=2))

        await ctx.step.run("download", work, 0.04, {"bytes": 120_000})
        await ctx.step.run("parse", parse)

    @on(client, "Broken", "shop/broken", retries=0)
    async def broken(ctx: inngest.Context) -> None:
        data: dict[str, typing.Any] = dict(ctx.event.data)
        data["customer"]["name"].upper()

    @on(client, "Unlucky", "shop/unlucky", retries=20)
    async def unlucky(ctx: inngest.Context) -> str:
        async def first() -> str:
            if ctx.attempt < 12:
                raise inngest.RetryAfterError(f"bad luck {ctx.attempt + 1}", retry_after=dt.timedelta(milliseconds=1))
            return "luck"

        async def second() -> str:
            raise inngest.RetryAfterError("no luck at all", retry_after=dt.timedelta(milliseconds=1))

        await ctx.step.run("12 failures, then luck", first)
        return await ctx.step.run("21 failures", second)

    return [charge, import_catalogue, broken, unlucky]


def waiting(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """What waits: for time, for an event, for another run, for its next attempt."""

    @on(client, "Remind customer", "shop/cart.left")
    async def remind(ctx: inngest.Context) -> str:
        await ctx.step.run("find cart", work, 0.02, {"items": 2})
        await ctx.step.sleep("three days", dt.timedelta(days=3))
        return "reminded"

    @on(client, "Await payment", "shop/invoice.sent")
    async def await_payment(ctx: inngest.Context) -> str:
        paid = await ctx.step.wait_for_event(
            "payment", event="shop/invoice.paid", if_exp="event.data.invoice == async.data.invoice",
            timeout=dt.timedelta(hours=2),
        )  # fmt: skip
        return "paid" if paid else "overdue"

    @on(client, "Retry tomorrow", "shop/partner.sync", retries=20)
    async def backing_off(ctx: inngest.Context) -> None:
        async def unreachable() -> None:
            raise inngest.RetryAfterError("partner is in maintenance", retry_after=dt.timedelta(minutes=40))

        await ctx.step.run("call partner", unreachable)

    return [remind, await_payment, backing_off]


def limited(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """What is held by limits."""

    @on(client, "Render video", "shop/video.uploaded",
        concurrency=[inngest.Concurrency(limit=1, key="event.data.customer")])  # fmt: skip
    async def render(ctx: inngest.Context) -> str:
        return await ctx.step.run("render", work, float(ctx.event.data.get("seconds", 3)), "done")  # type: ignore[arg-type]

    @on(client, "Weekly report", "shop/report.wanted",
        throttle=inngest.Throttle(limit=1, period=dt.timedelta(minutes=1)))  # fmt: skip
    async def report(ctx: inngest.Context) -> str:
        return await ctx.step.run("add up", work, 0.05, "report.pdf")

    @on(client, "Index documents", "shop/document.changed",
        batch_events=inngest.Batch(max_size=10, timeout=dt.timedelta(seconds=60), key="event.data.shelf"))  # fmt: skip
    async def index(ctx: inngest.Context) -> int:
        return len(ctx.events)

    @on(client, "Refresh profile", "shop/profile.edited",
        debounce=inngest.Debounce(period=dt.timedelta(seconds=45), key="event.data.customer"))  # fmt: skip
    async def refresh(ctx: inngest.Context) -> str:
        return "fresh"

    @on(client, "Welcome", "shop/customer.seen",
        rate_limit=inngest.RateLimit(limit=1, period=dt.timedelta(minutes=10), key="event.data.customer"))  # fmt: skip
    async def welcome(ctx: inngest.Context) -> str:
        return "hello"

    return [render, report, index, refresh, welcome]


def large(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    """What is a lot: many steps, many at once, a large output, a model's answer."""

    @on(client, "Migrate accounts", "shop/accounts.migrate")
    async def migrate(ctx: inngest.Context) -> int:
        for number in range(200):
            await ctx.step.run(f"account {number}", work, 0.001, {"account": number})
        return 200

    @on(client, "Resize images", "shop/images.uploaded")
    async def resize(ctx: inngest.Context) -> int:
        def one(number: int) -> typing.Callable[[], typing.Any]:
            return lambda: ctx.step.run(f"image {number}", work, 0.02 + number % 7 / 50, {"image": number})

        return len(await ctx.group.parallel(tuple(one(number) for number in range(50))))

    @on(client, "Export orders", "shop/export.wanted")
    async def export(ctx: inngest.Context) -> dict[str, object]:
        rows = [
            {"order": number, "customer": f"customer {number % 97}", "total": number * 1.5} for number in range(16_000)
        ]
        return await ctx.step.run("collect", work, 0.1, {"rows": rows})

    @on(client, "Summarise reviews", "shop/reviews.collected")
    async def summarise(ctx: inngest.Context) -> str:
        answer = {
            "model": "gpt-4o-mini", "id": "chatcmpl-1", "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Mostly happy."}}],
            "usage": {"prompt_tokens": 1_412, "completion_tokens": 96, "total_tokens": 1_508},
        }  # fmt: skip
        await ctx.step.run("ask model", work, 0.4, answer)
        return "Mostly happy."

    @on(client, "Answer question", "shop/question.asked")
    async def answer(ctx: inngest.Context) -> str:
        await ctx.step.run("search the manual", work, 0.05, {"pages": 3})
        return "it is in the box"

    return [migrate, resize, export, summarise, answer]


async def work(seconds: float, answer: typing.Any) -> typing.Any:
    await asyncio.sleep(seconds)
    return answer


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
