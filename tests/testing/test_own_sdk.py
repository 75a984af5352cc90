"""`holdfast.testing` with functions of Holdfast's own SDK."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import inngest
import pytest

import holdfast
from holdfast.asgi import serve
from holdfast.testing import Fail, NotDeterministicError, SyncTestEngine, TestEngine

client = holdfast.Client(app_id="shop")


def function(fn_id: str = "order", on: str = "go", **options: Any) -> Any:
    return client.create_function(fn_id=fn_id, trigger=holdfast.TriggerEvent(event=on), **options)


def test_retries_sleeps_waits_and_sent_events() -> None:
    @function("other", "other")
    async def other(ctx: holdfast.Context) -> None: ...

    @function(retries=3)
    async def order(ctx: holdfast.Context) -> list[object]:
        async def pay() -> str:
            if ctx.attempt < 2:
                raise ValueError("declined")
            return "paid"

        first = await ctx.step.run("pay", pay)
        await ctx.step.sleep("one", timedelta(days=3))
        await ctx.step.sleep("two", timedelta(days=3))
        await client.send(holdfast.Event(name="other"))
        await ctx.step.send_event("tell", holdfast.Event(name="other"))
        answer = await ctx.step.wait_for_event("answer", event="answer", timeout=timedelta(days=1))
        return [first, answer is None]

    async def test() -> None:
        async with TestEngine(order, other, client=client, start=datetime(2030, 1, 1, tzinfo=UTC)) as t:
            run = await t.send(holdfast.Event(name="go"))
            await t.advance("5d")
            assert list(run.steps) == ["pay", "one"]
            assert run.steps["pay"].attempts == 3
            await t.finish(run)
            assert run.output == ["paid", True]
            assert len(t.runs_of(other)) >= 1
            assert 6 < (t.clock.now - datetime(2030, 1, 1, tzinfo=UTC)).days + 1 <= 8

    asyncio.run(test())


def test_synchronous_functions_mocks_and_determinism() -> None:
    turns: list[int] = []

    @function("other", "other")
    def other(ctx: holdfast.ContextSync) -> None: ...

    @function()
    def order(ctx: holdfast.ContextSync) -> list[object]:
        turns.append(1)
        paid = ctx.step.run("pay", lambda: "never")
        ctx.step.sleep("nap", timedelta(days=3))
        sent = client.send_sync(holdfast.Event(name="other"))
        return [paid, len(sent), len(turns)]

    with SyncTestEngine(order, other, client=client, steps={"pay": "mock", "nap": None}) as t:
        run = t.send("go")
        assert run.output[:2] == ["mock", 1]
        with pytest.raises(NotDeterministicError):
            t.check_determinism(run)
    with SyncTestEngine(order, client=client, steps={"pay": Fail("no", retry=False)}) as t:
        assert t.send("go").error.message == "no"  # type: ignore[union-attr]


def test_functions_of_two_sdks_are_refused() -> None:
    theirs = inngest.Inngest(app_id="shop", is_production=False)

    @theirs.create_function(fn_id="x", trigger=inngest.TriggerEvent(event="go"))
    async def other(ctx: inngest.Context) -> None: ...

    @function()
    async def order(ctx: holdfast.Context) -> None: ...

    with pytest.raises(TypeError, match="functions of two SDKs"):
        TestEngine(order, other)


def test_functions_that_no_server_would_take_are_refused() -> None:
    with pytest.raises(holdfast.FunctionConfigInvalidError, match="retries: Input should be less than or equal to 20"):
        function(retries=99)

    @function()
    def once(ctx: holdfast.ContextSync) -> None: ...

    @function()
    def again(ctx: holdfast.ContextSync) -> None: ...

    for pair in ((once, once), (once, again)):
        with pytest.raises(ValueError, match="'shop-order' is given twice"):
            TestEngine(*pair)
    with pytest.raises(holdfast.FunctionConfigInvalidError, match="two functions have the id 'order'"):
        serve(holdfast.Client(app_id="shop", is_production=False), [once, again])
