"""What a test of a function costs with `holdfast.testing`: the issue's bar is 20 ms."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from statistics import median

import inngest

from benchmarks.counted import python_calls, yardstick
from holdfast.testing import TestEngine

TEST_MS = 20.0
"""CPU of one test: an engine, a function with two retries and a sleep of three days, and its end. 12 to 20 are seen,
by the machine's speed of the moment, so that the next two are what is held."""
TEST_YARDSTICKS = 1_000.0
"""Twice what a test takes, as in `test_work`."""
PYTHON_CALLS = 14_000
"""Calls of Python and C functions in such a test; 12,600 are made, half of them by the official SDK and asyncio."""

client = inngest.Inngest(app_id="shop", is_production=False)


@client.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="go"), retries=3)
async def order(ctx: inngest.Context) -> str:
    async def pay() -> str:
        if ctx.attempt < 2:
            raise ValueError("declined")
        return "paid"

    paid = await ctx.step.run("pay", pay)
    await ctx.step.sleep("nap", timedelta(days=3))
    return paid


async def one_test() -> None:
    async with TestEngine(order, client=client) as t:
        run = await t.finish(await t.send("go"))
        assert run.output == "paid"
        assert run.steps["pay"].attempts == 3


def test_a_function_with_retries_and_a_sleep_of_three_days() -> None:
    asyncio.run(one_test())  # imports, and the empty database
    costs: list[tuple[float, float]] = []
    for _ in range(20):
        began = time.process_time()
        asyncio.run(one_test())
        costs.append((time.process_time() - began, yardstick()))
    cpu, ratio = median(cost for cost, _ in costs) * 1e3, min(cost / unit for cost, unit in costs)
    print(f"\na test: {cpu:.1f} ms of CPU (bar: {TEST_MS}), {ratio:.0f} yardsticks")
    assert ratio <= TEST_YARDSTICKS


def test_a_test_makes_few_calls_in_python() -> None:
    asyncio.run(one_test())
    with python_calls() as made:
        asyncio.run(one_test())
    print(f"\n{made.count} Python calls in a test")
    assert made.count <= PYTHON_CALLS
