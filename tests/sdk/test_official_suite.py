"""What suites written for the official SDK lean on, beyond the documented names."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import holdfast
from holdfast import Client, Event, Inngest, SendEventsError, TriggerEvent
from holdfast._internal import comm_lib, const, errors, middleware_lib, server_lib, types
from holdfast._internal.server_lib.registration import FunctionConfig, Retries, Runtime, Step
from holdfast.experimental import remote_state_middleware
from holdfast.sdk.answers import CommRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast import ContextSync


@pytest.fixture
def official() -> Inngest:
    return Inngest(app_id="app", is_production=False)


def ask(client: Inngest, handler: Callable[..., Any], steps: dict[str, Any] | None = None, target: str = "step") -> Any:
    """Call a synchronous function as a server does; return status, decoded body and headers."""
    function = client.create_function(fn_id="f", trigger=TriggerEvent(event="go"), retries=0)(handler)
    serving = comm_lib.CommHandler(client=client, framework=server_lib.Framework.FLASK, functions=[function])
    event = {"name": "go", "data": {}}
    body = {"ctx": {"attempt": 0, "run_id": "r"}, "event": event, "events": [event], "steps": steps or {}}
    query = {"fnId": function.id, "stepId": target}
    answer = serving.post_sync(CommRequest(json.dumps(body).encode(), {}, query, None, "http://x/"))
    return answer.status_code, json.loads(answer.content), answer.headers


def nothing(_: ContextSync) -> None:
    """Take no step."""


def test_inngest_names_the_dialect_and_client_names_itself(official: Inngest) -> None:
    said = {type(each).__name__: ask(each, nothing)[2] for each in (official, Client(app_id="a", is_production=False))}
    assert said["Inngest"]["x-inngest-sdk"] == said["Inngest"]["user-agent"] == f"inngest-py:v{const.VERSION}"
    assert said["Client"]["x-inngest-sdk"] == f"inngest-py-holdfast:v{holdfast.__version__}"
    assert ("py", f"0.5.19+holdfast.{holdfast.__version__}") == (const.LANGUAGE, const.VERSION)


def test_a_nested_step_is_told_as_the_official_sdk_tells_it(official: Inngest) -> None:
    def nested(ctx: ContextSync) -> None:
        ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: None))

    status, (op,), headers = ask(official, nested)
    assert (status, op["op"], headers["x-inngest-no-retry"]) == (206, "StepFailed", "true")
    text = "Nested steps are not supported."
    told = {name: op["error"][name] for name in ("message", "name", "stack")}
    assert told == {"message": text, "name": "CodedError", "stack": f"inngest._internal.errors.CodedError: {text}\n"}


class OnlyInfo:
    """A logger that is none: nothing but `info`."""

    def info(self, *_: object) -> None:
        """Take a line."""


def test_a_logger_that_lacks_methods_costs_no_answer(official: Inngest, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: ContextSync) -> None:
        raise ValueError("no")

    official.set_logger(OnlyInfo())
    assert ask(official, fails)[:2] == (500, {"code": "unknown", "message": "no", "name": "ValueError", "stack": ANY})
    with caplog.at_level(logging.ERROR, "holdfast"):
        assert ask(official, lambda _: object())[0] == 500
    assert "output_unserializable" in caplog.text


class _Any:
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY = _Any()


class TestMissingMember:
    """A member of a parallel group that the server wants is gone."""

    def test_the_next_step_is_named(self, official: Inngest) -> None:
        def later(ctx: ContextSync) -> None:
            ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2)))
            ctx.step.run("after", lambda: 3)

        status, body, _ = ask(official, later, target="gone")
        assert (status, body["message"]) == (500, 'found step "after" when targeting a different step')

    @pytest.mark.parametrize("look", [sum, str, lambda it: it[0].x, lambda it: [*it[0]], lambda it: it[0]["a"]])
    def test_nobody_sees_outputs_that_are_not_there(self, official: Inngest, look: Callable[[Any], Any]) -> None:
        seen: list[object] = []

        def looks(ctx: ContextSync) -> None:
            seen.append(look(ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1),))))

        status, body, _ = ask(official, looks, target="gone")
        assert (status, body["code"], seen) == (500, "step_unexpected", [])
        assert body["message"] == 'found step "a" when targeting a different step'

    def test_the_function_does_not_end_well(self, official: Inngest) -> None:
        def returns(ctx: ContextSync) -> object:
            return ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1),))

        status, body, _ = ask(official, returns, target="gone")
        assert (status, body["message"]) == (500, 'found step "a" when targeting a different step')
        assert ask(official, nothing, target="gone")[0] == 500


def test_a_step_knows_whether_it_is_wanted(official: Inngest) -> None:
    seen: list[object] = []
    ask(official, lambda ctx: seen.append(ctx.step._target_hashed_id))
    ask(official, lambda ctx: seen.append(ctx.step._target_hashed_id), target="abc")
    assert seen == [None, "abc"]


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of an event API that refuses everything, without a word."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_refusal_without_a_word_is_an_error_of_client_only(refusing: str, caplog: pytest.LogCaptureFixture) -> None:
    settings: dict[str, Any] = {"app_id": "a", "is_production": False, "event_api_base_url": refusing}
    assert Inngest(**settings).send_sync(Event(name="go")) == []
    assert "HTTP 400" in caplog.text
    with pytest.raises(SendEventsError, match="HTTP 400"):
        Client(**settings).send_sync(Event(name="go"))


def test_models_of_programs_that_took_their_base_from_the_sdk() -> None:
    class Run(types.BaseModel):
        event: Event
        output_id: str | None = pydantic.Field(alias="outputID")

    run = Run.model_validate({"event": {"name": "go", "data": {"n": 1}}, "outputID": None})
    assert run.event.data == {"n": 1}
    assert isinstance(Run.from_raw({"event": 1}), pydantic.ValidationError)
    assert isinstance(Run.from_raw("{"), pydantic.ValidationError)
    assert run.to_dict() == {"event": {"data": {"n": 1}, "id": "", "name": "go", "ts": 0}, "outputID": None}
    assert Event.model_validate_json('{"name":"go","data":{}}') == Event(name="go")
    assert json.loads(Event(name="go").model_dump_json())["name"] == "go"
    with pytest.raises(AttributeError):
        types.nothing_of_this_name  # noqa: B018


def test_kinds_of_values_are_told_apart() -> None:
    assert (types.is_dict({}), types.is_dict([]), types.is_list([]), types.is_list({})) == (True, False, True, False)
    assert [types.is_dict_keys(each, str) for each in ({"a": 1}, {1: 1}, [])] == [True, False, False]
    assert [types.is_list_items(each, int) for each in ([1], [1, "a"], {})] == [True, False, False]


def test_a_registration_written_by_hand() -> None:
    step = Step(id="step", name="step", retries=Retries(attempts=1), runtime=Runtime(type="http", url="http://x"))
    config = FunctionConfig(id="f", name=None, triggers=[TriggerEvent(event="go")], steps={"step": step})
    found = config.to_dict()
    assert found["steps"] == {
        "step": {
            "id": "step", "name": "step", "retries": {"attempts": 1}, "runtime": {"type": "http", "url": "http://x"},
        }
    }  # fmt: skip
    assert (found["triggers"], found["batchEvents"]) == ([{"event": "go", "expression": None}], None)
    assert isinstance(comm_lib.get_function_configs("http://x", {}), errors.FunctionConfigInvalidError)
    with pytest.raises(errors.FunctionConfigInvalidError, match="type: Input should be 'http' or 'ws'"):
        Runtime(type="tcp", url="x")  # type: ignore[arg-type]


def test_values_that_middleware_compares() -> None:
    info = middleware_lib.TransformOutputStepInfo(id="a", op=server_lib.Opcode.STEP_RUN, opts=None)
    result = holdfast.TransformOutputResult(error=None, output=1, step=info)
    assert result.__dict__ == {"error": None, "output": 1, "step": info}


def test_what_stands_for_an_output_kept_elsewhere_has_the_drivers_mark() -> None:
    driver = remote_state_middleware.InMemoryDriver()
    kept = driver.save_step("run", [1])
    assert kept[driver._marker] is True
    assert kept[driver._strategy_marker] == "inngest/memory"
