"""What goes with runs: sessions, deferred functions, experiments, scores and metadata."""

from __future__ import annotations

import asyncio
import http.server
import logging
import math
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from holdfast import Client, Context, ContextSync, Event, ExperimentRef, Inngest, NonRetriableError, TriggerEvent
from holdfast.durable_httpx import DurableTransport
from holdfast.experimental import create_defer, experiment
from holdfast.sdk.experiments import Selection
from holdfast.sdk.sessions import shared_sessions, stamped
from holdfast.testing import TestEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sdk.conftest import Runner

client = Inngest(app_id="shop", is_production=False)
GO = TriggerEvent(event="go")
HAD = {"chat": "1", "user": "ada"}


def engine(*functions: Any) -> TestEngine:
    return TestEngine(*functions, client=client)


class TestSessions:
    @pytest.mark.parametrize(
        ("meta", "expected"),
        [
            (None, HAD),
            ({"sessions": {}}, HAD),
            ({"sessions": None}, {}),
            ({"sessions": {"chat": None}}, {"user": "ada"}),
            ({"sessions": {"chat": 2.0}}, {"chat": "2", "user": "ada"}),
        ],
    )
    @pytest.mark.parametrize("durable", [True, False])
    def test_events_of_a_run_belong_to_its_sessions(self, meta: Any, expected: Any, durable: bool) -> None:
        found: list[dict[str, str]] = []

        @client.create_function(fn_id="child", trigger=TriggerEvent(event="child"))
        def child(ctx: ContextSync) -> None:
            found.append(ctx.sessions)

        @client.create_function(fn_id="parent", trigger=GO)
        async def parent(ctx: Context) -> None:
            assert ctx.sessions == HAD
            event = Event(name="child", meta=meta)
            await (ctx.step.send_event("send", event) if durable else client.send(event))

        async def test() -> None:
            async with engine(parent, child) as t:
                await t.send({"name": "go", "meta": {"sessions": HAD}})

        asyncio.run(test())
        assert found == [expected]

    def test_a_synchronous_run_may_change_them(self) -> None:
        found: list[dict[str, str]] = []

        @client.create_function(fn_id="child", trigger=TriggerEvent(event="child"))
        def child(ctx: ContextSync) -> None:
            found.append(ctx.sessions)

        @client.create_function(fn_id="parent", trigger=GO)
        def parent(ctx: ContextSync) -> None:
            ctx.sessions["chat"] = "9"
            client.send_sync(Event(name="child"))

        async def test() -> None:
            async with engine(parent, child) as t:
                await t.send({"name": "go", "meta": {"sessions": HAD}})

        asyncio.run(test())
        assert found == [{"chat": "9", "user": "ada"}]

    def test_a_batch_has_what_its_events_share(self) -> None:
        events = [Event(name="a", meta={"sessions": each}) for each in ({**HAD, "x": 1}, {**HAD, "x": 2}, HAD)]
        assert shared_sessions(events) == HAD
        assert shared_sessions([*events, Event(name="a")]) == {}
        assert shared_sessions([Event(name="a", meta={"sessions": dict.fromkeys("gfedcba", "1")})]) == dict.fromkeys(
            "abcde", "1"
        )

    @pytest.mark.parametrize(
        ("sessions", "why"),
        [
            ([], "are a dict"),
            ({"": "1"}, "is a text"),
            ({"a": True}, "'a'"),
            ({"a": float("nan")}, "'a'"),
            ({"a": ""}, "'a'"),
        ],
    )
    def test_bad_ones_are_refused(self, sessions: object, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            stamped({"sessions": sessions}, None)


class TestDefer:
    @pytest.mark.parametrize("asynchronous", [True, False])
    @pytest.mark.parametrize("fails", [True, False])
    def test_it_runs_after_the_run_that_asked(self, asynchronous: bool, fails: bool) -> None:
        found: list[Any] = []
        ref = ExperimentRef(experiment_name="model", variant="small")

        @create_defer(client, fn_id="mail", retries=0)
        def mail(ctx: ContextSync) -> None:
            (by,) = ctx.parents
            found.append((ctx.event.data, ctx.events[0].data, by.fn_slug, by.experiment, ctx.sessions))

        def asks(ctx: Context | ContextSync) -> str:
            ctx.defer("gone", function=mail, data={"to": "nobody"}).abort()
            ctx.defer("mail", function=mail, data={"to": "ada"}, experiment=ref)
            if fails:
                raise NonRetriableError("no")
            return "asked"

        async def asks_async(ctx: Context) -> str:
            return asks(ctx)

        handler: Any = asks_async if asynchronous else asks
        asking = client.create_function(fn_id="asks", trigger=GO)(handler)

        async def test() -> None:
            async with engine(asking, mail) as t:
                run = await t.send({"name": "go", "meta": {"sessions": HAD}})
                assert run.status == ("failed" if fails else "completed")
                if not fails:
                    assert run.output == "asked"

        asyncio.run(test())
        assert found == [({"to": "ada"}, {"to": "ada"}, "shop-asks", ref, HAD)]

    def test_what_was_sent_can_be_taken_back(self, caplog: pytest.LogCaptureFixture) -> None:
        found: list[Any] = []

        @client.create_defer(fn_id="mail")
        async def mail(ctx: Context) -> None:
            found.append(ctx.event.data["to"])

        @client.create_function(fn_id="asks", trigger=GO)
        async def asks(ctx: Context) -> None:
            sent = ctx.defer("sent", function=mail, data={"to": "nobody"})
            await ctx.step.run("in a step", sent.abort)
            ctx.defer("kept", function=mail, data={"to": "ada"})
            await ctx.step.run("then", lambda: None)
            sent.abort()
            sent.abort()

        async def test() -> None:
            async with engine(asks, mail) as t:
                await t.send("go")

        with caplog.at_level(logging.ERROR):
            asyncio.run(test())
        assert found == ["ada"]
        assert "call abort after the step returns" in caplog.text

    def test_checkpoints_take_defers_along(self, server: str, runner: Runner) -> None:
        client = Client(app_id="deferring", is_production=False, api_base_url=server, event_api_base_url=server)
        found: list[Any] = []

        @client.create_defer(fn_id="mail")
        async def mail(ctx: Context) -> None:
            found.append(ctx.event.data)

        @client.create_function(fn_id="asks", trigger=TriggerEvent(event="defer/asks"))
        async def asks(ctx: Context) -> str:
            ctx.defer("mail", function=mail, data={"n": 1})
            await ctx.step.run("a", lambda: 1)
            return "done"

        runner.serve(client, asks, mail)
        assert runner.run(client, "defer/asks")["output"] == "done"
        runner.wait_for(lambda: found == [{"n": 1}])

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ({"data": {"_inngest": 1}}, "the protocol's own keys"),
            ({"data": [1]}, "an object with keys"),
            ({"data": {"x": float}}, "written as JSON"),
            ({"function": 1}, "made by create_defer"),
            ({"defer_id": ""}, "is a text"),
            ({"meta": {"sessions": []}}, "are a dict"),
        ],
    )
    def test_a_bad_one_is_logged_and_costs_nothing(
        self, wrong: Any, why: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        @client.create_defer(fn_id="mail")
        def mail(ctx: ContextSync) -> None:
            raise AssertionError("it must not run")

        @client.create_function(fn_id="asks", trigger=GO)
        def asks(ctx: ContextSync) -> str:
            given: dict[str, Any] = {"defer_id": "d", "function": mail, "data": {}, **wrong}
            ctx.defer(given.pop("defer_id"), **given).abort()
            return "fine"

        async def test() -> None:
            async with engine(asks, mail) as t:
                assert (await t.send("go")).output == "fine"

        with caplog.at_level(logging.ERROR):
            asyncio.run(test())
        assert "defer skipped" in caplog.text
        assert why in caplog.text


class TestExperiments:
    @pytest.mark.parametrize("asynchronous", [True, False])
    def test_a_variant_is_chosen_once_and_told_and_scored(
        self, asynchronous: bool, server: str, runner: Runner
    ) -> None:
        name = f"experiment-{asynchronous}"
        client = Inngest(app_id=name, is_production=False, api_base_url=server, event_api_base_url=server)
        chosen: list[list[str]] = []

        def choose(names: list[str]) -> str:
            chosen.append(names)
            return "small"

        def work(_: Any) -> int:
            return 7

        def plain(ctx: ContextSync) -> Any:
            got = ctx.group.experiment(
                "model",
                variants={"large": lambda: ctx.step.run("a", work, 1), "small": lambda: ctx.step.run("b", work, 1)},
                select=experiment.custom(choose),
            )
            ctx.step.score("turns", name="turns", value=got.result)
            ctx.step.metadata("cost", {"usd": 0.5}, kind="cost")
            client.score_experiment_sync(experiment=got.experiment_ref, run_id=ctx.run_id, name="good", value=True)
            return got.experiment_ref.model_dump()

        async def awaiting(ctx: Context) -> Any:
            got = await ctx.group.experiment(
                "model",
                variants={"large": lambda: ctx.step.run("a", work, 1), "small": lambda: ctx.step.run("b", work, 1)},
                select=experiment.custom(choose),
            )
            await ctx.step.score("turns", name="turns", value=got.result)
            await ctx.step.metadata("cost", {"usd": 0.5}, kind="cost")
            await client.score_experiment(experiment=got.experiment_ref, run_id=ctx.run_id, name="good", value=True)
            return got.experiment_ref.model_dump()

        handler: Any = awaiting if asynchronous else plain
        function = client.create_function(fn_id="f", trigger=TriggerEvent(event=name))(handler)
        runner.serve(client, function)
        run = runner.run(client, name)
        assert run["output"] == {"experiment_name": "model", "variant": "small"}
        assert chosen == [["large", "small"]]
        known = metadata(server, run["run_id"])
        assert known[""]["inngest.score"] == {"turns": {"value": 7}, "good": {"value": True}}
        assert known[""]["inngest.experiment"] == {"name": "model", "variant": "small"}
        assert known[""]["userland.cost"] == {"usd": 0.5}
        said = {"name": "model", "variant": "small", "selection_strategy": "custom"}
        assert known["b"]["inngest.experiment"] == said
        assert known["model"]["inngest.experiment"] == {**said, "available_variants": ["large", "small"]}

    def test_a_variant_without_a_step_is_an_error(self) -> None:
        @client.create_function(fn_id="f", trigger=GO)
        async def function(ctx: Context) -> Any:
            async def bare() -> int:
                return 1

            return await ctx.group.experiment("e", variants={"a": bare}, select=experiment.fixed("a"))

        async def test() -> None:
            async with engine(function) as t:
                run = await t.send("go")
                assert run.status == "failed"
                assert "must take a step" in str(run.error)

        asyncio.run(test())

    def test_choices(self) -> None:
        names = ["control", "variant"]
        assert [experiment.bucket(each).choose(names) for each in ("alice", "bob")] == names
        for weights in ({"control": 80, "variant": 20}, {"control": 8, "variant": 2}):
            picked = [experiment.bucket(each, weights=weights).choose(names) for each in ("charlie", "grace")]
            assert picked == names
        assert experiment.weighted({"control": 0, "variant": 1}).choose(names) == "variant"
        assert experiment.fixed("control").choose(names) == "control"

    @pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1}, {"a": math.inf}, {"a": math.nan}, {"a": True}])
    def test_bad_weights_are_refused(self, weights: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="weights"):
            experiment.bucket("x", weights=weights)

    @pytest.mark.parametrize("select", [experiment.fixed("c"), experiment.weighted({"a": 1})])
    def test_choices_that_do_not_fit_end_the_run(self, select: Selection) -> None:
        with pytest.raises(NonRetriableError):
            select.choose(["a", "b"])

    def test_empty_texts_are_refused(self) -> None:
        for make in (experiment.fixed, experiment.bucket):
            with pytest.raises(ValueError, match="is a text"):
                make("")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"run_id": " "}, "run_id"),
        ({"step_id": ""}, "step_id"),
        ({"name": " "}, "non-empty string"),
        ({"name": "user's"}, "single quotes"),
        ({"name": "a\x7fb"}, "control characters"),
        ({"name": "é" * 65}, "128 UTF-8 bytes"),
        ({"value": float("nan")}, "finite number"),
    ],
)
def test_bad_scores_are_refused_before_they_are_sent(wrong: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        client.score_sync(**{"run_id": "r", "name": "quality", "value": 1, **wrong})


def metadata(server: str, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the metadata of a run (under "") and of its steps by their names, by kind."""
    query = (
        "query($id: String!) { run(runID: $id) { trace(preview: true) { metadata { kind values } "
        "childrenSpans { name metadata { kind values } } } } }"
    )
    answer = httpx.post(f"{server}/v0/gql", json={"query": query, "variables": {"id": run_id}}).json()
    trace = answer["data"]["run"]["trace"]
    found: dict[str, dict[str, Any]] = {"": {each["kind"]: each["values"] for each in trace["metadata"]}}
    for span in trace["childrenSpans"]:
        kept = {each["kind"]: each["values"] for each in span["metadata"] or []}
        found.setdefault(span["name"], {}).update(kept)
    return found


class TestDurableTransport:
    @pytest.fixture
    def upstream(self) -> Iterator[tuple[str, list[str]]]:
        """The URL of a server that echoes, and what it was asked."""
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                asked.append(f"{self.command} {self.path} {self.headers['x-mine']} {body}")
                self.send_response(201)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"said": "' + body.encode() + b'"}')

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
            threading.Thread(target=found.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{found.server_port}/echo?q=1", asked
            found.shutdown()

    @pytest.mark.parametrize("asynchronous", [True, False])
    def test_the_server_makes_the_requests_of_a_run(
        self, asynchronous: bool, server: str, runner: Runner, upstream: tuple[str, list[str]]
    ) -> None:
        url, asked = upstream
        name = f"durable-{asynchronous}"
        client = Inngest(app_id=name, is_production=False, api_base_url=server, event_api_base_url=server)
        given: dict[str, Any] = {"content": "hé", "headers": {"x-mine": "1"}}

        def plain(ctx: ContextSync) -> Any:
            with httpx.Client(transport=DurableTransport()) as http:
                answers = [http.post(url, **given) for _ in range(2)]
                within = ctx.step.run("within", lambda: http.post(url, **given).json())
            return [answers[0].status_code, *(each.json() for each in answers), within]

        async def awaiting(ctx: Context) -> Any:
            async with httpx.AsyncClient(transport=DurableTransport()) as http:
                answers = [await http.post(url, **given) for _ in range(2)]

                async def direct() -> Any:
                    return (await http.post(url, **given)).json()

                within = await ctx.step.run("within", direct)
            return [answers[0].status_code, *(each.json() for each in answers), within]

        handler: Any = awaiting if asynchronous else plain
        runner.serve(client, client.create_function(fn_id="f", trigger=TriggerEvent(event=name))(handler))
        said = {"said": "hé"}
        assert runner.run(client, name)["output"] == [201, said, said, said]
        assert asked == ["POST /echo?q=1 1 hé"] * 3

    def test_outside_of_runs_it_is_an_ordinary_transport(self) -> None:
        transport = DurableTransport(otherwise=httpx.MockTransport(lambda _: httpx.Response(204)))
        assert httpx.Client(transport=transport).get("http://x").status_code == 204

        async def ask() -> int:
            async with httpx.AsyncClient(transport=transport) as http:
                return (await http.get("http://x")).status_code

        assert asyncio.run(ask()) == 204
