"""What is said for given calls, without a server: recorded shapes, logs, middleware, edited inputs, odd functions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

import holdfast
from holdfast import (
    Batch,
    Cancel,
    Client,
    Concurrency,
    Context,
    ContextSync,
    Debounce,
    Event,
    FunctionConfigInvalidError,
    Inngest,
    Middleware,
    MiddlewareSync,
    Priority,
    RateLimit,
    SendEventsError,
    Singleton,
    Throttle,
    Timeouts,
    TriggerCron,
    TriggerEvent,
)
from holdfast.experimental import mocked
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.consts import Framework
from holdfast.sdk.handler import CommHandler
from holdfast.sdk.plans import hash_step_id
from holdfast.sdk.timing import to_duration_str


def call(client: Inngest, function: Any, steps: dict[str, Any] | None = None, target: str = "step", **ctx: Any) -> Any:
    """Call a function as a server does; return status, decoded body and headers."""
    event = {"name": "go", "data": {"n": 1}, "id": "e", "ts": 5}
    about = {"attempt": 0, "disable_immediate_execution": False, "run_id": "r", **ctx}
    body = {"ctx": about, "event": event, "events": [event], "steps": steps or {}, "use_api": False}
    handler = CommHandler(client=client, framework=Framework.ASGI, functions=[function])
    query = {"fnId": function.id, "stepId": target}
    answer = asyncio.run(handler.handle("POST", CommRequest(json.dumps(body).encode(), {}, query, None, "http://x/")))
    return answer.status_code, json.loads(answer.content), answer.headers


@pytest.fixture
def client() -> Inngest:
    return Inngest(app_id="app", is_production=False)


GO = TriggerEvent(event="go")


def test_all_options_are_registered(client: Inngest) -> None:
    function = client.create_function(
        fn_id="f", name="F", retries=2,
        trigger=[TriggerEvent(event="a", expression="true"), TriggerCron(cron="* * * * *", jitter="30s")],
        batch_events=Batch(max_size=10, timeout=60_000, key="k", if_exp="x"),
        cancel=[Cancel(event="c", if_exp="y", timeout="36h")],
        concurrency=[Concurrency(limit=1, key="k", scope="env")], debounce=Debounce(period=90_000, timeout="2m"),
        idempotency="event.data.id", priority=Priority(run="1"), rate_limit=RateLimit(limit=1, period="1h"),
        singleton=Singleton(mode="skip"), throttle=Throttle(limit=1, period="1d"),
        timeouts=Timeouts(start=5000, finish="2w"),
        on_failure=lambda _: None,
    )(lambda _: None)  # fmt: skip
    config = function.get_config("http://h/api")
    assert config.main == {
        "id": "app-f", "name": "F",
        "triggers": [{"event": "a", "expression": "true"}, {"cron": "* * * * *", "jitter": "30s"}],
        "steps": {"step": {"id": "step", "name": "step", "retries": {"attempts": 2},
                           "runtime": {"type": "http", "url": "http://h/api?fnId=app-f&stepId=step"}}},
        "batchEvents": {"maxSize": 10, "timeout": "1m", "key": "k", "if": "x"},
        "cancel": [{"event": "c", "if": "y", "timeout": "36h"}],
        "concurrency": [{"limit": 1, "key": "k", "scope": "env"}], "debounce": {"period": "90s", "timeout": "2m"},
        "idempotency": "event.data.id", "priority": {"run": "1"}, "rateLimit": {"limit": 1, "period": "1h"},
        "singleton": {"mode": "skip"}, "throttle": {"limit": 1, "period": "1d", "burst": 1},
        "timeouts": {"start": "5s", "finish": "2w"},
    }  # fmt: skip
    assert config.on_failure is not None
    assert config.on_failure["triggers"] == [
        {"event": "inngest/function.failed", "expression": "event.data.function_id == 'app-f'"}
    ]
    assert config.on_failure["steps"]["step"]["retries"] == {"attempts": 0}  # type: ignore[index]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Concurrency(limit="1"), "limit: Input should be a valid integer"),
        (lambda: Singleton(mode="x"), "mode: Input should be 'skip' or 'cancel'"),
        (
            lambda: Inngest(app_id="a", is_production=False).create_function(fn_id="f", trigger=GO, retries=-1),
            "retries: ",
        ),
        (lambda: to_duration_str(1), "duration must be at least 1 second"),
        (lambda: to_duration_str(1500), "duration must be a whole number of seconds"),
        (lambda: to_duration_str("soon"), "invalid duration 'soon'"),
    ],
)
def test_bad_options_say_what_they_should_be(make: Any, message: str) -> None:
    with pytest.raises(FunctionConfigInvalidError, match=message):
        make()


def test_steps_with_one_id_are_told_apart(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    def f(ctx: ContextSync) -> list[int]:
        return [ctx.step.run("a", lambda: n) for n in range(3)]  # noqa: B023

    _, (op,), _ = call(client, f, {hash_step_id("a"): {"data": 0}})
    assert (op["id"], op["userland"]) == (hash_step_id("a:1"), {"id": "a", "index": 1})


def test_an_edited_input_replaces_the_arguments(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    async def f(ctx: Context) -> int:
        return await ctx.step.run("add", lambda a, b: a + b, 1, 2)

    _, (op,), _ = call(client, f, {hash_step_id("add"): {"type": "input", "input": [10, 20]}})
    assert op["data"] == 30


def test_a_planned_step_that_is_gone_is_an_error(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    async def f(ctx: Context) -> Any:
        return await ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2)))

    status, body, _ = call(client, f, target=hash_step_id("gone"))
    assert (status, body["code"]) == (500, "step_unexpected")
    assert body["message"] == 'found step "b" when targeting a different step'
    done = {hash_step_id(each): {"data": 1} for each in "ab"}
    status, body, _ = call(client, f, done, target=hash_step_id("gone"))
    assert (status, body["code"]) == (500, "step_unexpected")


def test_nested_steps_fail_for_good(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    async def f(ctx: Context) -> None:
        async def outer() -> None:
            with contextlib.suppress(Exception):
                await ctx.step.run("inner", lambda: 1)

        await ctx.step.run("outer", outer)

    status, (op,), headers = call(client, f)
    assert (status, op["error"]["code"], op["error"]["name"]) == (206, "step_nested", "CodedError")
    assert headers["x-inngest-no-retry"] == "true"


def test_what_is_no_json_is_not_tried_again(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    def f(ctx: ContextSync) -> Any:
        return ctx.step.run("bad", object)

    status, body, headers = call(client, f)
    assert (status, body["code"]) == (500, "output_unserializable")
    assert body["message"] == '"bad" returned unserializable data'
    assert headers["x-inngest-no-retry"] == "true"


@pytest.mark.parametrize("color", ["sync", "async"])
def test_lines_are_logged_once(client: Inngest, color: str, caplog: pytest.LogCaptureFixture) -> None:
    def lines(ctx: Any) -> None:
        ctx.logger.info("before")

    @client.create_function(fn_id="s", trigger=GO)
    def plain(ctx: ContextSync) -> None:
        lines(ctx)
        ctx.step.run("a", lambda: 1)
        ctx.logger.info("between")
        ctx.step.run("b", lambda: 1)

    @client.create_function(fn_id="a", trigger=GO)
    async def waiting(ctx: Context) -> None:
        lines(ctx)
        await ctx.step.run("a", lambda: 1)
        ctx.logger.info("between")
        await ctx.step.run("b", lambda: 1)

    function = plain if color == "sync" else waiting
    memos: dict[str, Any] = {}
    with caplog.at_level(logging.INFO, "holdfast"):
        for done in (None, "a", "b"):
            memos |= {} if done is None else {hash_step_id(done): {"data": 1}}
            call(client, function, memos)
    assert [record.message for record in caplog.records] == ["before", "between"]


def test_hooks_run_in_their_order() -> None:
    seen: list[str] = []

    def make(name: str, base: Any) -> Any:
        def hook(which: str) -> Any:
            def plain(*_: Any) -> None:
                seen.append(f"{name}.{which}")

            async def waits(*_: Any) -> None:
                plain()

            return waits if base is Middleware else plain

        names = ("transform_input", "before_execution", "after_execution", "transform_output", "before_response")
        return type(name, (base,), {each: hook(each) for each in names})

    client = Inngest(app_id="app", is_production=False, middleware=[make("1", Middleware), make("2", MiddlewareSync)])

    @client.create_function(fn_id="f", trigger=GO)
    def f(ctx: ContextSync) -> None:
        ctx.step.run("a", lambda: seen.append("step"))

    call(client, f)
    assert seen == [
        "1.transform_input", "2.transform_input", "1.before_execution", "2.before_execution", "step",
        "2.after_execution", "1.after_execution", "2.transform_output", "1.transform_output",
        "1.before_response", "2.before_response",
    ]  # fmt: skip


def test_wrappers_see_new_and_memoised_steps() -> None:
    seen: list[Any] = []

    class Wrap(MiddlewareSync):
        async def wrap_function(self, ctx: Any, call_next: Any) -> Any:
            seen.append("in")
            try:
                return await call_next()
            finally:
                seen.append("out")

        async def wrap_step(self, step: holdfast.StepCall, call_next: Any) -> Any:
            found = await call_next()
            seen.append((step.id, step.memoized, found))
            return found * 2

    client = Inngest(app_id="app", is_production=False, middleware=[Wrap])

    @client.create_function(fn_id="f", trigger=GO)
    async def f(ctx: Context) -> int:
        return await ctx.step.run("a", lambda: 1) + await ctx.step.run("b", lambda: 5)

    _, (op,), _ = call(client, f, {hash_step_id("a"): {"data": 1}})
    assert op["data"] == 10
    assert seen == ["in", ("a", True, 1), ("b", False, 5), "out"]


def test_a_function_is_still_its_handler(client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=GO)
    def f(ctx: ContextSync) -> str:
        """Do it."""
        return ctx.run_id

    assert f.__doc__ == "Do it."
    assert f.original is f.__wrapped__
    assert f(type("ctx", (), {"run_id": "x"})) == "x"


def test_mocked_runs_follow_the_rules_of_retries() -> None:
    mock, client = mocked.Inngest(app_id="app", is_production=False), Inngest(app_id="app", is_production=False)
    assert mock.send_sync(Event(name="x")) == ["0" * 26]

    @client.create_function(fn_id="f", trigger=GO, retries=1)
    async def f(ctx: Context) -> str:
        def bad() -> None:
            raise ValueError("no")

        try:
            await ctx.step.run("bad", bad)
        except ValueError as error:
            return f"caught {error}"
        return "no"

    result = mocked.trigger(f, Event(name="go"), mock)
    assert (result.status, result.output) == (mocked.Status.COMPLETED, "caught no")


def test_a_send_that_is_refused_says_why(server: str) -> None:
    client = Inngest(app_id="app", is_production=False, event_api_base_url=server)
    with pytest.raises(SendEventsError) as caught:
        client.send_sync(Event(name="inngest/x"))
    client.close_sync()
    assert caught.value.status == 400
    assert caught.value.ids == []


def test_importing_costs_little_and_brings_no_framework() -> None:
    code = "import holdfast, sys; holdfast.Client; print(sorted(m for m in sys.modules if '.' not in m))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("httpx", "pydantic", "starlette", "flask", "django", "structlog"):
        assert f"'{name}'" not in found


def test_client_is_typed_and_checkpoints_and_inngest_is_as_it_was() -> None:
    new, old = Client(app_id="a", is_production=False), Inngest(app_id="a", is_production=False)
    assert (new.typed, new.checkpointing is not None) == (True, True)
    assert (old.typed, old.checkpointing) == (False, None)
