"""What the Python apps serve: plain handlers of the official SDK, one definition for FastAPI and Flask.

Every function listens to `<app id>/<function id>`, so that several apps share one server without running each other's
events; the JavaScript app (js_app/functions.mjs) has the same ids, events and outputs. Handlers are synchronous because
Flask is; `streamed` alone is not.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
import time
import typing

import inngest
import pydantic
from inngest.experimental import ai

if typing.TYPE_CHECKING:
    from collections.abc import Callable

APP = os.environ.get("APP_ID", "fastapi")
UPSTREAM = os.environ.get("UPSTREAM_URL", "http://127.0.0.1:9")

Handler = typing.Callable[[inngest.ContextSync], typing.Any]
Config = dict[str, typing.Any]


@dataclasses.dataclass
class Definition:
    """A handler with its function id and the options of `create_function`."""

    fn_id: str
    handler: typing.Callable[..., typing.Any]
    options: Config


DEFINITIONS: list[Definition] = []
BUILT: dict[str, inngest.Function[typing.Any]] = {}
ran: list[Config] = []
"""Each execution of a step's or a function's body, in order: run, step, attempt, at (epoch seconds), value."""


def event(name: str) -> str:
    return f"{APP}/{name}"


def define(fn_id: str, *, retries: int | None = 0, **options: typing.Any) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        options.setdefault("trigger", inngest.TriggerEvent(event=event(fn_id)))
        DEFINITIONS.append(Definition(fn_id, handler, {"retries": retries, **options}))
        return handler

    return register


def build(client: inngest.Inngest) -> list[inngest.Function[typing.Any]]:
    for item in DEFINITIONS:
        BUILT[item.fn_id] = client.create_function(fn_id=item.fn_id, **item.options)(item.handler)
    return list(BUILT.values())


def note(ctx: inngest.ContextSync, step: str, value: typing.Any = None) -> typing.Any:
    ran.append({"run": ctx.run_id, "step": step, "attempt": ctx.attempt, "at": time.time(), "value": value})
    return value


def step(ctx: inngest.ContextSync, name: str, value: typing.Any = None) -> typing.Any:
    return ctx.step.run(name, functools.partial(note, ctx, name, value))


def failing(ctx: inngest.ContextSync, name: str, error: Exception) -> typing.Any:
    note(ctx, name)
    raise error


# Steps and values


@define("no-step", retries=None)
def no_step(ctx: inngest.ContextSync) -> typing.Any:
    return {"hello": "world", "attempt": ctx.attempt, "run": ctx.run_id}


@define("echo")
def echo(ctx: inngest.ContextSync) -> typing.Any:
    note(ctx, "echo", ctx.event.data)
    return {
        "id": ctx.event.id,
        "name": ctx.event.name,
        "data": ctx.event.data,
        "ts": ctx.event.ts,
        "count": len(ctx.events),
    }


@define("two-steps")
def two_steps(ctx: inngest.ContextSync) -> typing.Any:
    a = step(ctx, "first", 1)
    return {"a": a, "b": step(ctx, "second", {"sum": a + 1})}


@define("return-null")
def return_null(ctx: inngest.ContextSync) -> None:
    note(ctx, "return-null")


@define("values")
def values(ctx: inngest.ContextSync) -> typing.Any:
    samples = {
        "null": None,
        "ünïcødé ✓": '日本語 𝄞 <>&\u2028 "quoted"',
        "numbers": [0, -1, 1.5, 1e21, 9007199254740991, True, False],
        "empty": {},
        "wrapped": {"data": {"inner": 1}},
        "list": [[], [{}], ""],
    }
    return [step(ctx, name, value) for name, value in samples.items()]


@define("exact-numbers")
def exact_numbers(ctx: inngest.ContextSync) -> typing.Any:
    row = step(ctx, "row", {"id": 1145678901234567890, "price": 1.0})
    return step(ctx, "shown", [str(ctx.event.data["id"]), str(row["id"]), repr(row["price"])])


@define("same-id")
def same_id(ctx: inngest.ContextSync) -> typing.Any:
    return [step(ctx, "again", n) for n in range(3)]


@define("odd id/✓ & co")
def odd_ids(ctx: inngest.ContextSync) -> typing.Any:
    return [step(ctx, name, n) for n, name in enumerate(["a b/c?d=é&f", "🚀", "x" * 300])]


class Shape(pydantic.BaseModel):
    """A step's typed output."""

    name: str
    sides: int


@define("typed")
def typed(ctx: inngest.ContextSync) -> typing.Any:
    shape = ctx.step.run("typed", lambda: Shape(name="square", sides=4), output_type=Shape)
    return shape.sides


@define("bad-output")
def bad_output(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.run("bad", object)


@define("limited")
def limited(ctx: inngest.ContextSync) -> typing.Any:
    return [step(ctx, f"s{n}", "x" * 1000) for n in range(3)]


@define("large-state")
def large_state(ctx: inngest.ContextSync) -> typing.Any:
    parts = [step_output(ctx, name) for name in ("a", "b")]
    return step(ctx, "size", sum(map(len, parts)))


def step_output(ctx: inngest.ContextSync, name: str) -> str:
    return str(ctx.step.run(name, lambda: name * 2_200_000))


# Parallel


@define("parallel")
def parallel(ctx: inngest.ContextSync) -> typing.Any:
    results = ctx.group.parallel(tuple(functools.partial(step, ctx, f"p{n}", n) for n in range(3)))
    return step(ctx, "join", sum(results))


@define("parallel-one-fails", retries=1)
def parallel_one_fails(ctx: inngest.ContextSync) -> typing.Any:
    def bad() -> str:
        try:
            ctx.step.run("bad", lambda: failing(ctx, "bad", ValueError("one of three")))
        except inngest.StepError as error:
            return f"caught {error.message}"
        return "not caught"

    nap = functools.partial(ctx.step.sleep, "nap", 1000)
    return list(ctx.group.parallel((functools.partial(step, ctx, "good", 1), bad, nap)))


@define("parallel-race")
def parallel_race(ctx: inngest.ContextSync) -> typing.Any:
    def slow() -> int:
        time.sleep(0.4)
        note(ctx, "p1")
        return 1

    steps: tuple[Callable[[], int], ...] = (
        functools.partial(step, ctx, "p0", 0),
        lambda: ctx.step.run("p1", slow),
    )
    results = ctx.group.parallel(steps, parallel_mode=inngest.ParallelMode.RACE)
    return step(ctx, "join", results[0])


@define("parallel-mixed")
def parallel_mixed(ctx: inngest.ContextSync) -> typing.Any:
    """A wait, the event that fulfils it, a sleep, an invocation and a step, all in one response."""
    answer, sent, _, child, plain = ctx.group.parallel(
        (
            functools.partial(ctx.step.wait_for_event, "wait", event=event("mixed-answer"), timeout=5000),
            functools.partial(ctx.step.send_event, "send", inngest.Event(name=event("mixed-answer"), data={"n": 7})),
            functools.partial(ctx.step.sleep, "nap", 1000),
            functools.partial(ctx.step.invoke, "call", function=BUILT["child-ok"], data={"n": 4}),
            functools.partial(step, ctx, "plain", "p"),
        )
    )
    return {"answer": answer and answer.data["n"], "sent": len(sent), "child": child, "plain": plain}


@define("parallel-chains")
def parallel_chains(ctx: inngest.ContextSync) -> typing.Any:
    def chain(name: str, length: int) -> list[str]:
        return [step(ctx, f"{name}.{n}", f"{name}{n}") for n in range(length)]

    groups = ctx.group.parallel(
        tuple(functools.partial(chain, name, size) for name, size in (("a", 2), ("b", 3), ("c", 1)))
    )
    return [list(groups), step(ctx, "after", "end")]


# Errors and retries


@define("step-retry", retries=3)
def step_retry(ctx: inngest.ContextSync) -> typing.Any:
    def flaky() -> str:
        note(ctx, "flaky")
        if ctx.attempt < 2:
            raise ValueError(f"attempt {ctx.attempt}")
        return "third time lucky"

    return {"flaky": ctx.step.run("flaky", flaky), "after": ctx.step.run("after", lambda: ctx.attempt)}


@define("step-fails", retries=1)
def step_fails(ctx: inngest.ContextSync) -> typing.Any:
    step(ctx, "ok", 1)
    return ctx.step.run("bad", lambda: failing(ctx, "bad", ValueError("always")))


@define("step-fails-caught", retries=1)
def step_fails_caught(ctx: inngest.ContextSync) -> typing.Any:
    try:
        ctx.step.run("bad", lambda: failing(ctx, "bad", ValueError("always")))
    except inngest.StepError as error:
        return f"caught {error.message}"
    return "not caught"


@define("fn-retry", retries=2)
def fn_retry(ctx: inngest.ContextSync) -> typing.Any:
    note(ctx, "body")
    if ctx.attempt == 0:
        raise ValueError("first attempt")
    return {"attempt": ctx.attempt}


def on_failure(ctx: inngest.ContextSync) -> typing.Any:
    data = ctx.event.data
    error = typing.cast("dict[str, typing.Any]", data["error"])
    origin = typing.cast("dict[str, typing.Any]", data["event"])
    note(ctx, "handler", {"failed_run": data["run_id"], "function": data["function_id"], "origin": origin["data"]})
    return step(ctx, "tidy", error["message"])


@define("fails-with-handler", retries=0, on_failure=on_failure)
def fails_with_handler(ctx: inngest.ContextSync) -> typing.Any:
    step(ctx, "ok", 1)
    raise ValueError("function failed")


@define("non-retriable", retries=3)
def non_retriable(ctx: inngest.ContextSync) -> typing.Any:
    failing(ctx, "body", inngest.NonRetriableError("not again"))


@define("non-retriable-in-step", retries=3)
def non_retriable_in_step(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.run("fatal", lambda: failing(ctx, "fatal", inngest.NonRetriableError("not again")))


@define("retry-after", retries=1)
def retry_after(ctx: inngest.ContextSync) -> typing.Any:
    note(ctx, "body")
    if ctx.attempt == 0:
        raise inngest.RetryAfterError("busy", dt.timedelta(seconds=3))
    return "done"


@define("retry-after-in-step", retries=1)
def retry_after_in_step(ctx: inngest.ContextSync) -> typing.Any:
    def busy() -> str:
        note(ctx, "busy")
        if ctx.attempt == 0:
            raise inngest.RetryAfterError("busy", dt.timedelta(seconds=3))
        return "done"

    return ctx.step.run("busy", busy)


# Sleeps and waits


@define("sleep")
def sleep(ctx: inngest.ContextSync) -> typing.Any:
    step(ctx, "before")
    ctx.step.sleep("nap", int(typing.cast("int", ctx.event.data.get("ms", 1000))))
    step(ctx, "after")
    return "awake"


@define("sleep-until")
def sleep_until(ctx: inngest.ContextSync) -> typing.Any:
    until = dt.datetime.fromisoformat(str(ctx.event.data["until"]))
    ctx.step.sleep_until("nap", until)
    return "awake"


@define("wait")
def wait(ctx: inngest.ContextSync) -> typing.Any:
    expression = "event.data.id == async.data.id"
    answer = ctx.step.wait_for_event("answer", event=event("answer"), if_exp=expression, timeout=30_000)
    return answer and {"name": answer.name, "data": answer.data}


@define("wait-timeout")
def wait_timeout(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.wait_for_event("answer", event=event("never"), timeout=1000) is None


@define("wait-bad-if", retries=2)
def wait_bad_if(ctx: inngest.ContextSync) -> typing.Any:
    ctx.step.wait_for_event("answer", event=event("answer"), if_exp="event.data.id === async.data.id", timeout=1000)


# Invocation and events


@define("child-ok")
def child_ok(ctx: inngest.ContextSync) -> typing.Any:
    return step(ctx, "double", int(typing.cast("int", ctx.event.data["n"])) * 2)


@define("child-null")
def child_null(_ctx: inngest.ContextSync) -> typing.Any:
    return None


@define("child-fails")
def child_fails(_ctx: inngest.ContextSync) -> typing.Any:
    raise ValueError("child failed")


@define("child-slow")
def child_slow(ctx: inngest.ContextSync) -> typing.Any:
    ctx.step.sleep("nap", 2000)
    return "late"


@define("invoke-ok")
def invoke_ok(ctx: inngest.ContextSync) -> typing.Any:
    return {"double": ctx.step.invoke("call", function=BUILT["child-ok"], data={"n": 21})}


@define("invoke-null")
def invoke_null(ctx: inngest.ContextSync) -> typing.Any:
    return [ctx.step.invoke("call", function=BUILT["child-null"])]


@define("invoke-child-fails")
def invoke_child_fails(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.invoke_by_id("call", function_id="child-fails")


@define("invoke-child-caught")
def invoke_child_caught(ctx: inngest.ContextSync) -> typing.Any:
    try:
        return ctx.step.invoke_by_id("call", function_id="child-fails")
    except inngest.StepError as error:
        return f"caught {error.message}"


@define("invoke-timeout")
def invoke_timeout(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.invoke_by_id("call", function_id="child-slow", timeout=1000)


@define("invoke-unknown")
def invoke_unknown(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.step.invoke_by_id("call", function_id="no-such-function")


@define("send-event")
def send_event(ctx: inngest.ContextSync) -> typing.Any:
    events = [inngest.Event(name=event("received"), data={"n": n, "from": ctx.run_id}) for n in (1, 2)]
    return {"ids": ctx.step.send_event("send", events)}


@define("receiver", trigger=inngest.TriggerEvent(event=event("received")))
def receiver(ctx: inngest.ContextSync) -> typing.Any:
    return note(ctx, "receiver", ctx.event.data)


@define(
    "filtered",
    trigger=[
        inngest.TriggerEvent(event=event("filtered"), expression="event.data.n > 1"),
        inngest.TriggerEvent(event=event("wild/*")),
    ],
)
def filtered(ctx: inngest.ContextSync) -> typing.Any:
    return {"name": ctx.event.name, "n": ctx.event.data.get("n")}


@define("cron", trigger=inngest.TriggerCron(cron="* * * * *"))
def cron(ctx: inngest.ContextSync) -> typing.Any:
    return note(ctx, "cron", {"name": ctx.event.name, "id": ctx.event.id, "data": ctx.event.data})


# Cancellation


@define("cancellable", cancel=[inngest.Cancel(event=event("cancel"), if_exp="event.data.id == async.data.id")])
def cancellable(ctx: inngest.ContextSync) -> typing.Any:
    step(ctx, "before")
    ctx.step.sleep("nap", dt.timedelta(hours=1))
    return step(ctx, "after")


@define("slow-step")
def slow_step(ctx: inngest.ContextSync) -> typing.Any:
    def slow() -> str:
        note(ctx, "slow")
        time.sleep(0.6)
        note(ctx, "slow done")
        return "slow"

    return [ctx.step.run("slow", slow), step(ctx, "next", 1)]


# Flow control


@define("batch", batch_events=inngest.Batch(max_size=2, timeout=2000))
def batch(ctx: inngest.ContextSync) -> typing.Any:
    return [item.data["n"] for item in ctx.events]


@define("debounce", debounce=inngest.Debounce(period=1000, key="event.data.key"))
def debounce(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.event.data["n"]


@define("rate-limit", rate_limit=inngest.RateLimit(limit=1, period=60_000, key="event.data.key"))
def rate_limit(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.event.data["n"]


@define("throttle", throttle=inngest.Throttle(limit=1, period=1000, burst=0, key="event.data.key"))
def throttle(ctx: inngest.ContextSync) -> typing.Any:
    note(ctx, "body")
    return ctx.event.data["n"]


@define("idempotency", idempotency="event.data.key")
def idempotency(ctx: inngest.ContextSync) -> typing.Any:
    return ctx.event.data["n"]


@define("concurrency", concurrency=[inngest.Concurrency(limit=1, key="event.data.key")])
def concurrency(ctx: inngest.ContextSync) -> typing.Any:
    def exclusive() -> None:
        note(ctx, "enter", ctx.event.data["n"])
        time.sleep(0.2)
        note(ctx, "leave", ctx.event.data["n"])

    ctx.step.run("exclusive", exclusive)
    return ctx.event.data["n"]


@define("priority", priority=inngest.Priority(run="event.data.p"), concurrency=[inngest.Concurrency(limit=1)])
def priority(ctx: inngest.ContextSync) -> typing.Any:
    note(ctx, "body", ctx.event.data["n"])
    time.sleep(0.3)


@define("singleton-skip", singleton=inngest.Singleton(mode="skip", key="event.data.key"))
def singleton_skip(ctx: inngest.ContextSync) -> typing.Any:
    ctx.step.sleep("nap", 1000)
    return ctx.event.data["n"]


@define("singleton-cancel", singleton=inngest.Singleton(mode="cancel", key="event.data.key"))
def singleton_cancel(ctx: inngest.ContextSync) -> typing.Any:
    ctx.step.sleep("nap", 1000)
    return ctx.event.data["n"]


@define("timeout-finish", timeouts=inngest.Timeouts(finish=1000))
def timeout_finish(ctx: inngest.ContextSync) -> typing.Any:
    step(ctx, "before")
    ctx.step.sleep("nap", dt.timedelta(hours=1))


# Gateways


def ask(ctx: inngest.ContextSync, base_url: str) -> typing.Any:
    adapter = ai.openai.Adapter(auth_key="sk-test", model="gpt-test", base_url=base_url)
    return ctx.step.ai.infer("ask", adapter=adapter, body={"messages": [{"role": "user", "content": "hi"}]})


@define("ai-infer", retries=1)
def ai_infer(ctx: inngest.ContextSync) -> typing.Any:
    return ask(ctx, f"{UPSTREAM}/v1")


@define("ai-infer-fails", retries=1)
def ai_infer_fails(ctx: inngest.ContextSync) -> typing.Any:
    try:
        return ask(ctx, f"{UPSTREAM}/broken")
    except inngest.StepError as error:
        return {"name": error.name, "message": error.message}


async def streamed(ctx: inngest.Context) -> typing.Any:
    """Served on the streaming endpoint: a step, a body that fails once, then an end."""

    async def slow() -> int:
        return 1

    first = await ctx.step.run("slow", slow)
    if ctx.attempt == 0:
        raise ValueError("streamed failure")
    return first
