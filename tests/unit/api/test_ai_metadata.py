"""What steps tell of their calls to models, and what these cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from holdfast.server.api.traces import prices
from holdfast.server.api.traces.ai import of_step
from holdfast.server.api.traces.extraction import extract, together
from holdfast.server.api.traces.prices import Price, priced
from holdfast.server.api.traces.span_metadata import Update, fold
from holdfast.server.model.span import Call, Span
from holdfast.server.model.status import SpanStatus
from holdfast.server.model.telemetry import UserSpan
from holdfast.server.store.history import TraceRow

TABLE = {
    "gpt-x": Price(2.5e-06, 1e-05),
    "gpt-x-2024-08-06": Price(1e-03, 2e-03),
    "gpt-x-free": Price(0.0, 0.0),
    "other": Price(1.0, 1.0),
}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_table", lambda: TABLE)


@pytest.mark.parametrize(
    ("response", "request_", "cost"),
    [
        ("gpt-x", "other", 0.0035),
        ("gpt-x-2024-08-06", "gpt-x", 1.2),
        ("unknown", "other", 1100.0),  # an exact request model goes before a shortened response model
        ("gpt-x-9", "other", 1100.0),
        ("gpt-x-2025-01-01", "", 0.0035),
        ("unknown-1", "gpt-x-2025-01-01-preview", 0.0035),
        ("gpt-x-free", "", 0.0),
        ("gpt", "", None),
        ("xgpt-x", "GPT-X", None),
        ("", "", None),
        (None, 5, None),
    ],
)
@pytest.mark.usefixtures("table")
def test_a_cost_is_tokens_times_the_price_of_the_model(response: object, request_: object, cost: float | None) -> None:
    values = {"response_model": response, "request_model": request_, "input_tokens": 1000, "output_tokens": 100}
    assert priced(values).get("estimated_cost") == cost


@pytest.mark.parametrize(
    ("counts", "cost"),
    [
        ({"input_tokens": 1}, 0.000003),  # rounded to six digits
        ({"output_tokens": 7}, 0.00007),
        ({"input_tokens": 0, "output_tokens": 0}, 0.0),
        ({}, None),
        ({"input_tokens": True, "output_tokens": "7"}, None),
        ({"input_tokens": 1000, "estimated_cost": 5}, 5),
        ({"input_tokens": 1000, "estimated_cost": 0}, 0),
    ],
)
@pytest.mark.usefixtures("table")
def test_a_cost_needs_tokens_and_a_given_one_stays(counts: dict[str, object], cost: float | None) -> None:
    assert priced({"response_model": "gpt-x", **counts}).get("estimated_cost") == cost


def test_the_table_knows_models_of_today() -> None:
    values = {"response_model": "gpt-4o-2024-08-06", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert priced(values)["estimated_cost"] == 12.5


@pytest.mark.usefixtures("table")
def test_reported_metadata_of_models_is_priced_once_all_is_known() -> None:
    first = Update("inngest.ai", {"request_model": "gpt-x", "input_tokens": 1000})
    more = Update("inngest.ai", {"input_tokens": 1000}, "add")
    (entry,) = fold([first, more, Update("inngest.ai", {"x": 1})])
    assert entry.values == {"request_model": "gpt-x", "input_tokens": 2000, "x": 1, "estimated_cost": 0.005}
    (other,) = fold([Update("userland.ai", {"request_model": "gpt-x", "input_tokens": 1000})])
    assert "estimated_cost" not in other.values


@pytest.mark.usefixtures("table")
def test_costs_of_spans_add_up() -> None:
    attributes = {"gen_ai.response.model": "gpt-x", "gen_ai.usage.input_tokens": 40_000}
    span = UserSpan(trace_id="t", span_id="s", name="n", start=0, end=0, attributes=attributes)
    values = extract(span)["inngest.ai"]
    assert values["estimated_cost"] == 0.1
    total = together(together(values, {**values, "estimated_cost": 0.2}), {})
    assert (total["estimated_cost"], total["input_tokens"]) == (0.3, 80_000)


# --- step.ai.infer ----------------------------------------------------------------------------------------------------


def inferred(answer: object, url: str, format: str, body: object = None) -> dict[str, dict[str, Any]]:
    call = Call("job", "", 0, 0, 0, 0, 0, 200, {"content-type": "application/json"}, 99)
    span = Span(
        "step", SpanStatus.COMPLETED, 1, 2, 3, "ask", "id", "AIGateway", call=call,
        info={"format": format, "url": url, "size": 7}, input=Raw(json.dumps({"body": body}).encode()),
    )  # fmt: skip
    return told(span, {"data": answer})


def told(span: Span, output: object) -> dict[str, dict[str, Any]]:
    updates = of_step(TraceRow(1, True, json.dumps(output).encode(), span))
    assert {(update.scope, update.at) for update in updates} <= {("step_attempt", 3)}
    return {update.kind: update.values for update in updates}


@pytest.mark.parametrize(
    ("answer", "url", "format", "body", "models", "counts"),
    [
        ({"model": "gpt-x-2024", "usage": {"input_tokens": 3, "output_tokens": 1}}, "http://h/v1/responses", "openai",
         {"model": "gpt-x"}, ("gpt-x", "gpt-x-2024"), (3, 1, 4)),
        ({"model": "claude", "usage": {"input_tokens": 3, "output_tokens": 1}}, "http://h/v1/messages", "anthropic",
         {"model": "claude"}, ("claude", "claude"), (3, 1, 4)),
        ({"modelVersion": "gem-1", "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1,
          "totalTokenCount": 9}}, "http://h/v1/models/gem:generateContent", "gemini", {}, ("gem", "gem-1"), (3, 1, 9)),
        ({"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}}, "http://h/model/nova/converse", "bedrock",
         None, ("nova", ""), (3, 1, 4)),
        ({"usage": "no", "model": 5}, "http://h/x", "", "text", ("", ""), (None, None, None)),
    ],
)  # fmt: skip
def test_what_an_inference_tells(
    answer: object, url: str, format: str, body: object, models: tuple[str, str], counts: tuple[int | None, ...]
) -> None:
    found = inferred(answer, url, format, body)
    values = found["inngest.ai"]
    assert (values["request_model"], values["response_model"], values["provider"]) == (*models, format)
    assert tuple(values.get(f"{name}_tokens") for name in ("input", "output", "total")) == counts
    assert found["inngest.http"] == {
        "method": "POST", "domain": "h", "path": url.removeprefix("http://h"), "request_size": 7, "response_size": 99,
        "request_content_type": "application/json", "response_content_type": "application/json", "response_status": 200,
    }  # fmt: skip


def test_an_inference_without_an_object_tells_nothing() -> None:
    assert inferred("text", "http://h/", "openai") == {}


# --- Vercel's AI SDK --------------------------------------------------------------------------------------------------


USAGE_4 = {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}
USAGE_5 = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "reasoningTokens": 2, "cachedInputTokens": 1}
USAGE_6 = {"inputTokens": {"total": 10, "noCache": 9}, "outputTokens": {"total": 5}, "cachedInputTokens": 1}
RESPONSE = {"id": "r", "modelId": "gpt-x", "headers": {"content-type": "application/json", "content-length": "99"}}
REQUEST = {"body": '{"model":"gpt-y"}'}


def ran(output: object) -> dict[str, dict[str, Any]]:
    return told(Span("step", SpanStatus.COMPLETED, 1, 2, 3, "ask", "id", "StepRun", "step.ai.wrap"), {"data": output})


@pytest.mark.parametrize(
    ("output", "more"),
    [
        ({"text": "t", "usage": USAGE_4, "response": RESPONSE, "request": REQUEST, "steps": []}, {}),
        ({"steps": [{"usage": {}}, {"usage": USAGE_5, "response": RESPONSE, "request": REQUEST}]},
         {"reasoning_tokens": 2, "cache_read_tokens": 1}),
        ({"steps": [{"usage": {"inputTokens": 1}, "response": RESPONSE, "request": REQUEST}], "totalUsage": USAGE_5},
         {"reasoning_tokens": 2, "cache_read_tokens": 1}),
        ({"usage": USAGE_6, "response": RESPONSE, "request": {"body": {"model": "gpt-y"}}}, {"cache_read_tokens": 1}),
    ],
)  # fmt: skip
def test_results_of_vercels_sdk(output: object, more: dict[str, int]) -> None:
    found = ran(output)
    assert found["inngest.ai"] == {
        "operation_name": "", "provider": "", "request_model": "gpt-y", "response_model": "gpt-x",
        "input_tokens": 10, "output_tokens": 5, "total_tokens": 15, **more,
    }  # fmt: skip
    http = found["inngest.http"]
    assert (http["method"], http["response_content_type"], http["response_size"]) == ("POST", "application/json", 99)


def test_a_result_may_name_its_model_and_provider() -> None:
    step = {
        "usage": USAGE_5,
        "model": {"provider": "openai.responses", "modelId": "gpt-z"},
        "response": {"modelId": "m"},
    }
    values = ran({"steps": [step]})["inngest.ai"]
    assert (values["provider"], values["request_model"], values["response_model"]) == ("openai.responses", "gpt-z", "m")


@pytest.mark.parametrize(
    "output",
    [
        {"usage": USAGE_4},  # nothing says that a model was called
        {"usage": {"cpu": 1}, "response": RESPONSE},
        {"usage": [1], "steps": "many"},
        {"usage": {"promptTokens": -1, "completionTokens": True}, "response": RESPONSE},
        [{"usage": USAGE_4}],
        "usage",
        None,
    ],
)
def test_other_results_tell_nothing(output: object) -> None:
    assert ran(output) == {}


def test_broken_parts_are_no_trouble() -> None:
    output = {"usage": USAGE_4, "response": {"modelId": "m", "headers": 5}, "request": {"body": "{broken"}}
    assert ran(output)["inngest.ai"]["request_model"] == "m"
