"""Every kind of step, run by the real server; sync and async, with checkpoints and without."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import gc
import uuid
from typing import TYPE_CHECKING, Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from holdfast import (
    Client,
    Context,
    ContextSync,
    Event,
    NonRetriableError,
    ParallelMode,
    RetryAfterError,
    StepError,
    TriggerEvent,
)

if TYPE_CHECKING:
    from .conftest import Runner

pytestmark = pytest.mark.timeout(60)


class CardDeclined(Exception):
    pass


class Shape(pydantic.BaseModel):
    sides: int


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    price: decimal.Decimal
    due: dt.datetime


class Struct(msgspec.Struct):
    a: int


@attrs.define
class Attrs:
    b: dt.date


class Dict(TypedDict):
    c: dt.timedelta


@pytest.mark.parametrize("checkpointing", [True, False])
def test_values_keep_their_types(client: Client, runner: Runner, checkpointing: bool) -> None:
    seen: list[Any] = []
    client = _like(client, checkpointing)

    @client.create_function(fn_id="types", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def types(ctx: Context) -> Order:
        async def order() -> Order:
            return Order(uuid.UUID(int=1), decimal.Decimal("1.50"), dt.datetime(2030, 1, 1, tzinfo=dt.UTC))

        def shapes() -> list[Shape]:
            return [Shape(sides=4)]

        def several() -> tuple[Struct, Attrs]:
            return Struct(1), Attrs(dt.date(2030, 1, 2))

        def typed_dict() -> Dict:
            return {"c": dt.timedelta(seconds=3)}

        found = await ctx.step.run("order", order)
        rest = [await ctx.step.run("shapes", shapes), await ctx.step.run("several", several)]
        seen[:] = [found, *rest, await ctx.step.run("dict", typed_dict)]
        return found

    runner.serve(client, types)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["status"] == "Completed"
    assert ended["output"] == {"id": str(uuid.UUID(int=1)), "price": "1.50", "due": "2030-01-01T00:00:00Z"}
    assert seen == [
        Order(uuid.UUID(int=1), decimal.Decimal("1.50"), dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
        [Shape(sides=4)],
        (Struct(1), Attrs(dt.date(2030, 1, 2))),
        {"c": dt.timedelta(seconds=3)},
    ]
    assert len(runner.calls) == (1 if checkpointing else 5)


def _like(client: Client, checkpointing: bool) -> Client:
    origin = client.api_origin
    return Client(
        app_id=f"{client.app_id}-{checkpointing}", is_production=False, api_base_url=origin, event_api_base_url=origin,
        checkpointing=checkpointing,
    )  # fmt: skip


@pytest.mark.parametrize("checkpointing", [True, False])
def test_gather_and_task_groups_run_steps_in_parallel(
    client: Client, runner: Runner, checkpointing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = _like(client, checkpointing)
    ran: list[str] = []

    @client.create_function(fn_id="parallel", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def parallel(ctx: Context) -> list[int]:
        async def work(n: int) -> int:
            ran.append(f"s{n}")
            return n

        async def branch(n: int) -> int:
            first = await ctx.step.run(f"b{n}", work, n)
            return first + await ctx.step.run(f"c{n}", work, n * 10)

        pair = await asyncio.gather(ctx.step.run("s1", work, 1), ctx.step.run("s2", work, 2))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(n)) for n in (3, 4)]
            group.create_task(ctx.step.sleep("nap", 1000))
        last = await ctx.step.run("last", work, 5)
        return [*pair, *(task.result() for task in tasks), last]

    runner.serve(client, parallel)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["output"] == [1, 2, 33, 44, 5]
    assert sorted(ran) == ["s1", "s2", "s3", "s30", "s4", "s40", "s5"]
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_task_that_nobody_awaits_first_is_found_beside_the_step_that_is(
    client: Client, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    @client.create_function(fn_id="late", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def late(ctx: Context) -> list[int]:
        task = asyncio.create_task(ctx.step.run("task", lambda: 1))
        mine = await ctx.step.run("mine", lambda: 2)
        return [await task, mine]

    runner.serve(client, late)
    assert runner.run(client, f"{client.app_id}/go")["output"] == [1, 2]
    gc.collect()
    assert "never retrieved" not in caplog.text, "a call that ended is nothing to warn of"


@pytest.mark.parametrize("checkpointing", [True, False])
def test_a_failed_step_raises_its_own_class(client: Client, runner: Runner, checkpointing: bool) -> None:
    client = _like(client, checkpointing)
    caught: list[Any] = []
    attempts: list[int] = []

    @client.create_function(fn_id="declined", trigger=TriggerEvent(event=f"{client.app_id}/go"), retries=3)
    async def declined(ctx: Context) -> str:
        def pay() -> None:
            attempts.append(ctx.attempt)
            raise CardDeclined("no money")

        try:
            await ctx.step.run("pay", pay, retries=0)
        except CardDeclined as error:
            caught.append(error)
        return "handled"

    runner.serve(client, declined)
    assert runner.run(client, f"{client.app_id}/go")["output"] == "handled"
    assert attempts == [0]
    assert isinstance(caught[0], StepError)
    assert (caught[0].message, caught[0].name) == ("no money", "CardDeclined")
    assert "in pay" in caught[0].stack
    assert "holdfast/sdk" not in caught[0].stack


def test_non_retriable_and_retry_after_belong_to_their_step(client: Client, runner: Runner) -> None:
    tries: list[int] = []

    @client.create_function(fn_id="steer", trigger=TriggerEvent(event=f"{client.app_id}/go"), retries=2)
    def steer(ctx: ContextSync) -> str:
        def later() -> str:
            tries.append(ctx.attempt)
            if ctx.attempt == 0:
                raise RetryAfterError("soon", dt.timedelta(seconds=1))
            return "then"

        def never() -> None:
            tries.append(-1)
            raise NonRetriableError("never")

        first = ctx.step.run("later", later)
        try:
            ctx.step.run("never", never)
        except StepError as error:
            return f"{first}, {error.message}"
        return "not reached"

    runner.serve(client, steer)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["output"] == "then, never"
    assert tries == [0, 1, -1]


def test_a_step_that_takes_too_long_fails(client: Client, runner: Runner) -> None:
    @client.create_function(fn_id="slow", trigger=TriggerEvent(event=f"{client.app_id}/go"), retries=0)
    async def slow(ctx: Context) -> None:
        await ctx.step.run("wait", asyncio.sleep, 30, timeout=100)

    runner.serve(client, slow)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["status"] == "Failed"
    assert ended["output"]["name"] == "TimeoutError"


def test_waits_signals_invokes_and_events(client: Client, runner: Runner) -> None:
    @client.create_function(fn_id="child", trigger=TriggerEvent(event=f"{client.app_id}/never"))
    def child(ctx: ContextSync) -> Order:
        return Order(
            uuid.UUID(int=2), decimal.Decimal(str(ctx.event.data["n"])), dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        )

    @client.create_function(fn_id="parent", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def parent(ctx: Context) -> dict[str, Any]:
        order = await ctx.step.invoke("child", function=child, data={"n": 3})
        assert isinstance(order, Order)
        other = await ctx.step.invoke_by_id("by-id", function_id="child", data={"n": 4})

        async def answer() -> None:
            ids = await ctx.step.send_event("send", Event(name=f"{client.app_id}/back", data={"x": 1}))
            assert len(ids) == 1

        back, _ = await asyncio.gather(
            ctx.step.wait_for_event("wait", event=f"{client.app_id}/back", timeout="10s"), answer()
        )
        nothing = await ctx.step.wait_for_event("none", event=f"{client.app_id}/no", timeout=200)
        missed = await ctx.step.wait_for_signal("no-signal", signal=f"{client.app_id}-x", timeout=1000)
        await ctx.step.sleep("nap", dt.timedelta(milliseconds=10))
        await ctx.step.sleep_until("until", dt.datetime.now(dt.UTC))
        return {
            "price": order.price, "other": other, "back": back and back.data, "nothing": nothing, "missed": missed,
        }  # fmt: skip

    runner.serve(client, child, parent)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["status"] == "Completed", ended
    assert ended["output"]["price"] == "3"
    assert ended["output"]["other"]["price"] == "4"
    assert (ended["output"]["back"], ended["output"]["nothing"], ended["output"]["missed"]) == ({"x": 1}, None, None)


def test_a_signal_reaches_the_run_that_waits(client: Client, runner: Runner) -> None:
    @client.create_function(fn_id="waits", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def waits(ctx: Context) -> Any:
        async def send() -> str | None:
            return await ctx.step.send_signal("send", signal=client.app_id, data={"sides": 3})

        signal, _ = await asyncio.gather(
            ctx.step.wait_for_signal("wait", signal=client.app_id, timeout="20s", data_type=Shape), send()
        )
        assert signal is not None
        assert isinstance(signal.data, Shape)
        return signal.data.sides

    runner.serve(client, waits)
    assert runner.run(client, f"{client.app_id}/go")["output"] == 3


def test_the_server_makes_requests_for_a_run(client: Client, runner: Runner) -> None:
    @client.create_function(fn_id="fetches", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    async def fetches(ctx: Context) -> Any:
        answer = await ctx.step.fetch("health", "get", f"{client.api_origin}/health")
        return [answer.status_code, answer.json()["message"]]

    runner.serve(client, fetches)
    assert runner.run(client, f"{client.app_id}/go")["output"] == [200, "OK"]


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_groups_of_a_synchronous_function(client: Client, runner: Runner, mode: ParallelMode) -> None:
    @client.create_function(fn_id="group", trigger=TriggerEvent(event=f"{client.app_id}/go"))
    def group(ctx: ContextSync) -> list[Any]:
        def two() -> int:
            return ctx.step.run("a.1", lambda: 1) + ctx.step.run("a.2", lambda: 1)

        found = ctx.group.parallel((two, lambda: ctx.step.run("b", lambda: 3)), parallel_mode=mode)
        return [*found, ctx.step.run("end", lambda: 4)]

    runner.serve(client, group)
    assert runner.run(client, f"{client.app_id}/go")["output"] == [2, 3, 4]


def test_failures_call_the_handler_for_them(client: Client, runner: Runner) -> None:
    told: list[Any] = []

    async def on_failure(ctx: Context) -> None:
        told.append(ctx.event.data["error"])

    @client.create_function(
        fn_id="fails", trigger=TriggerEvent(event=f"{client.app_id}/go"), retries=0, on_failure=on_failure
    )
    async def fails(ctx: Context) -> None:
        raise ValueError("broken") from KeyError("why")

    runner.serve(client, fails)
    ended = runner.run(client, f"{client.app_id}/go")
    assert ended["status"] == "Failed"
    for _ in range(200):
        if told:
            break
        asyncio.run(asyncio.sleep(0.02))
    assert (told[0]["message"], told[0]["name"]) == ("broken", "ValueError")
    assert told[0]["cause"]["name"] == "KeyError"
