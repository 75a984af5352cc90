"""`holdfast.testing` with functions of the official SDK: the real engine, virtual time, no socket."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import inngest
import pytest

from holdfast.testing import (
    Fail,
    NoRunError,
    NoStepError,
    NotDeterministicError,
    NotEndedError,
    RunFailedError,
    StalledError,
    SyncTestEngine,
    TestEngine,
)

client = inngest.Inngest(app_id="shop", is_production=False)
Test = Callable[[], Awaitable[None]]


def function(**options: Any) -> Any:
    options.setdefault("fn_id", "order")
    options.setdefault("trigger", inngest.TriggerEvent(event="go"))
    return client.create_function(**options)


def run(test: Test) -> None:
    asyncio.run(test())


def test_retries_and_a_sleep_of_three_days() -> None:
    tries: list[int] = []

    @function(retries=3)
    async def order(ctx: inngest.Context) -> str:
        async def pay() -> str:
            tries.append(ctx.attempt)
            if len(tries) < 3:
                raise ValueError("card declined")
            return "paid"

        paid = await ctx.step.run("pay", pay)
        await ctx.step.sleep("nap", timedelta(days=3))
        return f"{paid} for {ctx.event.data['id']}"

    async def test() -> None:
        async with TestEngine(order, client=client) as t:
            run = await t.send(inngest.Event(name="go", data={"id": 7}))
            assert run.steps["pay"].status == "retrying"
            await t.advance("5m")
            assert run.steps["pay"].output == "paid"
            assert (run.steps["pay"].attempts, tries) == (3, [0, 1, 2])
            assert run.status == "running"
            await t.advance("2d")
            assert not run.ended
            await t.advance("1d")
            assert run.output == "paid for 7"
            assert run.trace() == (
                'shop-order: completed\n  pay (StepRun) completed after 3 attempts: "paid"\n'
                '  nap (Sleep) completed: null\n  -> "paid for 7"\n'
            )

    run(test)


def test_sleeps_count_from_virtual_time() -> None:
    @function()
    async def order(ctx: inngest.Context) -> None:
        await ctx.step.sleep("first", timedelta(days=1))
        await ctx.step.sleep("second", timedelta(days=1))

    async def test() -> None:
        async with TestEngine(order, start=datetime(2030, 1, 1, tzinfo=UTC)) as t:
            run = await t.send("go")
            await t.advance("36h")
            assert list(run.steps) == ["first"]
            await t.finish(run)
            assert t.clock.now == datetime(2030, 1, 3, tzinfo=UTC)

    run(test)


def test_a_wait_ends_with_its_event_or_its_timeout() -> None:
    @function()
    async def order(ctx: inngest.Context) -> str:
        approval = await ctx.step.wait_for_event(
            "approval", event="approved", if_exp="event.data.id == async.data.id", timeout=timedelta(days=2)
        )
        return "too late" if approval is None else str(approval.data["by"])

    async def test() -> None:
        async with TestEngine(order) as t:
            run = await t.send("go", {"id": 1})
            assert "approved" in run.waits_for[0]
            with pytest.raises(NotEndedError, match=r"waits: .*approved"):
                _ = run.output
            await t.emit("approved", {"id": 2, "by": "eve"})
            assert not run.ended
            await t.emit("approved", {"id": 1, "by": "ann"})
            assert run.output == "ann"
            late = await t.finish(await t.send("go", {"id": 3}))
            assert late.output == "too late"

    run(test)


def test_a_run_that_never_ends_says_what_it_waits_for() -> None:
    @function(trigger=inngest.TriggerEvent(event="go"))
    async def order(ctx: inngest.Context) -> None:
        await ctx.step.wait_for_event("approval", event="approved", timeout=timedelta(days=10))

    async def test() -> None:
        async with TestEngine(order) as t:
            run = await t.send("go")
            with pytest.raises(NotEndedError, match=r"does not end within 3d.*approved"):
                await t.finish(run, within="3d")

    run(test)


def test_invocations_events_and_on_failure_run_for_real() -> None:
    failures: list[str] = []

    async def failed(ctx: inngest.Context) -> None:
        failures.append(str(ctx.event.data["error"]["message"]))

    @function(fn_id="child", trigger=inngest.TriggerEvent(event="never"))
    async def child(ctx: inngest.Context) -> int:
        return int(str(ctx.event.data["n"])) + 1

    @function(fn_id="mail", trigger=inngest.TriggerEvent(event="mail"), retries=0, on_failure=failed)
    async def mail(ctx: inngest.Context) -> None:
        raise inngest.NonRetriableError("mailbox full")

    @function()
    async def order(ctx: inngest.Context) -> list[object]:
        n = await ctx.step.invoke("child", function=child, data={"n": 1})
        await ctx.step.send_event("mail", inngest.Event(name="mail"))
        ids = await client.send(inngest.Event(name="mail"))
        return [n, len(ids)]

    async def test() -> None:
        async with TestEngine(order, child, mail, client=client) as t:
            run = await t.send("go")
            assert run.output == [2, 1]
            assert [r.status for r in t.runs_of(mail)] == ["failed", "failed"]
            assert failures == ["mailbox full"] * 2
            assert t.runs_of(mail)[0].error.message == "mailbox full"  # type: ignore[union-attr]

    run(test)


def test_flow_control_and_crons() -> None:
    @function(
        fn_id="one", concurrency=[inngest.Concurrency(limit=1)], trigger=inngest.TriggerEvent(event="go"),
        rate_limit=inngest.RateLimit(limit=1, period=timedelta(hours=1)),
    )  # fmt: skip
    async def one(ctx: inngest.Context) -> None:
        await ctx.step.sleep("nap", timedelta(minutes=1))

    @function(fn_id="nightly", trigger=inngest.TriggerCron(cron="0 2 * * *"))
    async def nightly(ctx: inngest.Context) -> None: ...

    @function(
        fn_id="batch", trigger=inngest.TriggerEvent(event="log"),
        batch_events=inngest.Batch(max_size=3, timeout=timedelta(seconds=10)),
    )  # fmt: skip
    async def batch(ctx: inngest.Context) -> int:
        return len(ctx.events)

    async def test() -> None:
        async with TestEngine(one, nightly, batch, start=datetime(2030, 1, 1, tzinfo=UTC)) as t:
            await t.send("go")
            with pytest.raises(NoRunError, match="rate limit"):
                await t.send("go")
            await t.advance("3d")
            assert len(t.runs_of(nightly)) == 3
            await t.emit("log")
            assert await t.emit("log") == []
            await t.advance("10s")
            assert [run.output for run in t.runs_of(batch)] == [2]

    run(test)


def test_steps_are_mocked_and_forced_to_fail() -> None:
    @function(retries=2)
    async def order(ctx: inngest.Context) -> list[object]:
        async def never() -> str:
            raise AssertionError("a mocked step is not run")

        async def ship() -> str:
            return "shipped"

        paid = await ctx.step.run("pay", never)
        shipped = await ctx.step.run("ship", ship)
        approval = await ctx.step.wait_for_event("approval", event="x", timeout=timedelta(days=9))
        await ctx.step.sleep("nap", timedelta(days=9))
        try:
            await ctx.step.run("mail", never)
        except inngest.StepError as error:
            return [paid, shipped, approval.data if approval else None, error.message]
        return []

    steps: dict[str, object] = {
        "pay": {"id": 1}, "ship": Fail(TimeoutError("no truck"), times=1), "nap": None,
        "approval": inngest.Event(name="x", data={"by": "ann"}), "mail": Fail("bounced", retry=False), "typo": 1,
    }  # fmt: skip

    async def test() -> None:
        async with TestEngine(order, steps=steps) as t:
            run = await t.send("go")
            assert run.steps["ship"].error.message == "no truck"  # type: ignore[union-attr]
            await t.advance("5m")
            assert run.output == [{"id": 1}, "shipped", {"by": "ann"}, "bounced"]
            assert run.steps["ship"].attempts == 2
            assert t.unused_steps == ["typo"]

    run(test)


def test_parallel_steps_some_of_them_mocked() -> None:
    @function()
    async def order(ctx: inngest.Context) -> list[object]:
        async def step() -> str:
            return "real"

        found = await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", step),
                lambda: ctx.step.run("b", step),
                lambda: ctx.step.wait_for_event("c", event="x", timeout=timedelta(days=9)),
            )
        )
        return [found[0], found[1], found[2] is None]

    async def test() -> None:
        async with TestEngine(order, steps={"b": "mock", "c": None}) as t:
            assert (await t.send("go")).output == ["real", "mock", True]

    run(test)


def test_a_failed_run_says_why_when_asked_for_its_output() -> None:
    @function(retries=0)
    async def order(ctx: inngest.Context) -> None:
        raise KeyError("colour")

    async def test() -> None:
        async with TestEngine(order) as t:
            run = await t.send("go")
            assert run.status == "failed"
            with pytest.raises(RunFailedError, match="KeyError: 'colour'"):
                _ = run.output
            with pytest.raises(NoStepError, match="no step 'pay' in this run; its finished steps: none"):
                _ = run.steps["pay"]

    run(test)


@pytest.mark.parametrize("how", ["branch", "output"])
def test_what_differs_from_call_to_call_is_found(how: str) -> None:
    turns: list[int] = []

    @function()
    async def order(ctx: inngest.Context) -> object:
        async def step() -> int:
            return 1

        turns.append(1)
        await ctx.step.run("fixed", step)
        if how == "branch":
            await ctx.step.run("early" if len(turns) < 5 else "late", step)
        return random.random() if how == "output" else 1

    async def test() -> None:
        async with TestEngine(order) as t:
            run = await t.send("go")
            with pytest.raises(NotDeterministicError, match=r"call 2|call 3") as caught:
                await t.check_determinism(run)
            assert "move random numbers" in str(caught.value)

    run(test)


def test_a_function_that_names_its_steps_anew_is_reported() -> None:
    @function()
    async def order(ctx: inngest.Context) -> None:
        async def step() -> int:
            return 1

        await ctx.step.run(f"s-{uuid.uuid4()}", step)

    async def test() -> None:
        async with TestEngine(order, patience=1) as t:
            with pytest.raises(StalledError, match="does one name its steps anew in each call"):
                await t.send("go")

    run(test)


def test_a_check_sends_nothing_and_runs_no_step_again() -> None:
    done: list[str] = []

    @function(fn_id="other", trigger=inngest.TriggerEvent(event="other"))
    async def other(ctx: inngest.Context) -> None: ...

    @function()
    async def order(ctx: inngest.Context) -> str:
        async def step() -> None:
            done.append("step")

        await ctx.step.run("a", step)
        await ctx.step.sleep("nap", timedelta(hours=1))
        await ctx.step.run("b", step)
        await client.send(inngest.Event(name="other"))
        return "same"

    async def test() -> None:
        async with TestEngine(order, other, client=client, deterministic=True) as t:
            run = await t.finish(await t.send("go"))
            assert await t.check_determinism(run) == 4
            assert (done, len(t.runs_of(other))) == (["step", "step"], 1)

    run(test)


def test_synchronous_functions_and_tests() -> None:
    @function(fn_id="other", trigger=inngest.TriggerEvent(event="other"))
    def other(ctx: inngest.ContextSync) -> str:
        return "there"

    @function()
    def order(ctx: inngest.ContextSync) -> int:
        ctx.step.run("a", lambda: 1)
        ctx.step.sleep("nap", timedelta(days=3))
        return len(client.send_sync(inngest.Event(name="other")))

    with SyncTestEngine(order, other, client=client) as t:
        run = t.send(inngest.Event(name="go"))
        t.advance("3d")
        assert run.output == 1
        assert [r.output for r in t.runs_of(other)] == ["there"]
        client.send_sync  # noqa: B018 - restored below
    with pytest.raises(RuntimeError, match="has not started"):
        t.send("go") if False else TestEngine(order).server


def test_code_that_waits_for_real_is_reported() -> None:
    @function()
    async def order(ctx: inngest.Context) -> None:
        await asyncio.sleep(60)

    async def test() -> None:
        async with TestEngine(order, patience=0.1) as t:
            with pytest.raises(StalledError, match=r"not returned within 0\.1 s"):
                await t.send("go")

    run(test)


def test_what_is_no_function_is_refused() -> None:
    async def handler(ctx: inngest.Context) -> None: ...

    with pytest.raises(TypeError, match="made by `create_function`, not <function"):
        TestEngine(handler)
    with pytest.raises(TypeError, match="at least one function"):
        TestEngine()
    with pytest.raises(ValueError, match="belong to the app 'shop', the client to 'other'"):
        TestEngine(function()(handler), client=inngest.Inngest(app_id="other", is_production=False))


class Recorder(inngest.Middleware):
    seen: ClassVar[list[str]] = []

    async def transform_output(self, result: inngest.TransformOutputResult) -> None:
        self.seen.append(str(result.output))


def test_the_client_is_used_with_its_middleware_and_given_back() -> None:
    mine = inngest.Inngest(app_id="shop", middleware=[Recorder])  # production, and no key: tests need none
    before = dict(vars(mine))

    @mine.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="go"))
    async def order(ctx: inngest.Context) -> str:
        return "done"

    async def test() -> None:
        async with TestEngine(order, client=mine) as t:
            assert (await t.send("go")).output == "done"

    run(test)
    assert Recorder.seen == ["done"]
    assert vars(mine) == before
