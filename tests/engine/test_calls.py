"""The request that a call makes, compared with recorded ones of the reference (execution.md §2)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from holdfast.protocol import calls, limits
from holdfast.protocol.calls import CallContext, queue_item, render_body, render_headers
from holdfast.protocol.canonical import canonical
from holdfast.protocol.signing import sign
from holdfast.protocol.tracing import TraceContext, trace_id

STEP = "98bf98df193bcce7c33e6bc50927cf2ac21206cb"
EVENT = (
    b'{"data":{"k":"two-steps"},"id":"01M7Y7FVCX4F1PXTEZFDYVQ88Q","name":"rec/two-steps","ts":1795237080477,"user":{}}'
)
#: The second call of a signed run with two steps, as the reference sent it, and the signature that it put on it.
RECORDED: dict[str, Any] = {
    "ctx": {
        "attempt": 0, "disable_immediate_execution": False, "env": "",
        "fn_id": "943daa64-db21-56c7-8758-c1a24d5dcf0b", "generation_id": 1, "job_id": "3698yxcrquak2",
        "max_attempts": 2, "qi_id": "MzY5OHl4Y3JxdWFrMjo6ZGVmYXVsdA==", "request_id": "01M7Y7FVGZCYA590H0YBBNRC11",
        "run_id": "01M7Y7FVEWSQJYQGM9W1SR5WP5", "stack": {"current": 1, "stack": [STEP]}, "step_id": "step",
        "use_api": False,
    },
    "defers": {}, "event": json.loads(EVENT), "events": [json.loads(EVENT)], "steps": {STEP: {"data": {"n": 1}}},
    "use_api": False, "version": 2,
}  # fmt: skip
KEY = "signkey-test-7468697320697320612074657374206b6579"
SIGNATURE = "t=1795237080&s=f93e06fc42cc5198e1c6255aa922cb39eeafc83b37f13033545097e0226c2341"


def context(**more: Any) -> CallContext:
    ctx = RECORDED["ctx"]
    given = {
        "run_id": ctx["run_id"], "function_id": ctx["fn_id"], "job_id": ctx["job_id"],
        "item": queue_item(ctx["job_id"]), "request_id": ctx["request_id"], "generation": 1, "attempt": 0,
        "max_attempts": 2, "version": 2, "position": 1,
    }  # fmt: skip
    return CallContext(**{**given, **more})


def body(events: list[bytes], steps: dict[str, bytes], size: int = 0, *more: Any, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render_body(context(**changed), events, steps, size, *more))
    return found


def test_the_body_is_the_recorded_one_byte_for_byte() -> None:
    rendered = render_body(context(), [EVENT], {STEP: b'{"data":{"n":1}}'}, 500)
    assert json.loads(rendered) == RECORDED
    assert rendered == canonical(rendered) == json.dumps(RECORDED, separators=(",", ":"), sort_keys=True).encode()
    assert len(rendered) == 759, "the recorded content-length"
    assert sign(KEY, rendered, 1_795_237_080) == SIGNATURE


def test_headers_are_the_recorded_ones() -> None:
    lines = render_headers(context(), "3a884d6f-2b79-5ccb-ab1c-4a6df8a1957a", SIGNATURE).decode().split("\r\n")
    assert lines[-1] == ""
    headers = dict(line.split(": ", 1) for line in lines[:-1])
    state = headers.pop("tracestate")
    trace = headers.pop("traceparent")
    assert headers == {
        "Content-Type": "application/json",
        "X-Run-ID": "01M7Y7FVEWSQJYQGM9W1SR5WP5",
        "X-Request-ID": "01M7Y7FVGZCYA590H0YBBNRC11",
        "X-Inngest-Generation-ID": "1",
        "X-Inngest-Job-ID": "3698yxcrquak2",
        "X-Inngest-Req-Version": "2",
        "X-Inngest-Step-ID": "step",
        "account-id": "00000000-0000-4000-a000-000000000000",
        "X-Inngest-Signature": SIGNATURE,
    }
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)
    parts = dict(part.split("=", 1) for part in state.split(","))
    assert parts["inngest@app"] == "3a884d6f-2b79-5ccb-ab1c-4a6df8a1957a"
    assert parts["inngest@fn"] == "943daa64-db21-56c7-8758-c1a24d5dcf0b"
    assert parts["inngest@traceref"] == f"%7B%22tp%22%3A%22{trace}%22%2C%22ts%22%3A%22%22%7D"


def test_without_a_key_there_is_no_signature() -> None:
    assert b"Signature" not in render_headers(context(), "app")


def test_a_targeted_call_says_so_in_its_header_only() -> None:
    assert b"X-Inngest-Step-ID: abc\r\n" in render_headers(context(step="abc"), "app")
    assert body([EVENT], {}, step="abc")["ctx"]["step_id"] == "step"


def test_the_first_call_has_no_version_yet() -> None:
    first = body([EVENT], {}, version=-1, position=0)
    assert first["version"] == -1
    assert first["ctx"]["stack"] == {"current": 0, "stack": []}
    assert b"X-Inngest-Req-Version: -1\r\n" in render_headers(context(version=-1), "app")


def test_steps_are_sorted_and_the_stack_is_not() -> None:
    rendered = render_body(context(), [EVENT], {"b": b"null", "a": b'{"data":1}'}, 0)
    assert b'"steps":{"a":{"data":1},"b":null}' in rendered
    assert json.loads(rendered)["ctx"]["stack"]["stack"] == ["b", "a"]


def test_planning_is_asked_for() -> None:
    assert body([EVENT], {}, force_plan=True)["ctx"]["disable_immediate_execution"] is True


def test_inputs_of_a_rerun_are_sent_until_the_step_has_a_result() -> None:
    sent = body([EVENT], {"a": b"null"}, 0, {"a": b"[1]", "b": b"[2]"})
    assert sent["steps"] == {"a": None, "b": {"input": [2]}}
    assert sent["ctx"]["stack"]["stack"] == ["a"]


def test_defers_say_whether_they_can_be_taken_back() -> None:
    sent = body([EVENT], {}, 0, None, {"b": True, "a": False})
    assert sent["defers"] == {"a": {"abortable": False}, "b": {"abortable": True}}
    assert list(sent["defers"]) == ["a", "b"]


def test_a_batch_sends_all_its_events_and_the_first_by_itself() -> None:
    sent = body([b'{"n":1}', b'{"n":2}'], {})
    assert (sent["event"], sent["events"]) == ({"n": 1}, [{"n": 1}, {"n": 2}])


def test_large_state_is_left_to_be_fetched() -> None:
    steps = {"a": b'{"data":1}'}
    for size, use_api in ((limits.MAX_INLINE_STATE, False), (limits.MAX_INLINE_STATE + 1, True)):
        sent = body([EVENT], steps, size)
        assert sent["use_api"] is sent["ctx"]["use_api"] is use_api
        assert bool(sent["steps"]) is not use_api
        assert len(sent["events"]) == 1
        assert sent["ctx"]["stack"]["stack"] == ["a"], "the stack is always sent"


def test_a_body_that_is_too_large_sends_the_first_event_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_REQUEST", 1_500)
    event = b'{"x":"' + b"x" * 600 + b'"}'
    sent = body([event, event], {"a": b"null"})
    assert (sent["events"], sent["steps"], sent["use_api"]) == ([], {}, True)
    assert sent["event"] == json.loads(event)


def test_text_that_is_not_ascii_goes_through_as_it_came() -> None:
    event = '{"data":{"é":"\\u00e9"}}'.encode()
    assert event in render_body(context(), [event], {}, 0)


def test_a_run_has_one_trace_and_each_request_a_span() -> None:
    def ids(**more: Any) -> list[str]:
        (line,) = re.findall(rb"traceparent: (\S+)\r\n", render_headers(context(**more), "app"))
        return line.decode().split("-")

    first, second, job = ids(), ids(attempt=1), ids(job_id="other")
    assert first[1] == second[1] == job[1] == trace_id("01M7Y7FVEWSQJYQGM9W1SR5WP5")
    assert len({first[2], second[2], job[2]}) == 3
    assert ids(request_id="01M7Y7FVGZCYA590H0YBBNRC12") == first, "a request that is made again is the same one"
    assert trace_id("7" + "Z" * 25) == "f" * 32


def test_a_senders_trace_goes_on_to_the_app() -> None:
    sent = TraceContext("a" * 32, "b" * 16, 0, "vendor=1", "user=7")
    lines = render_headers(context(trace=sent), "app").decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    assert re.fullmatch(rf"00-{'a' * 32}-[0-9a-f]{{16}}-00", headers["traceparent"])
    assert headers["tracestate"].endswith(",vendor=1")
    assert headers["baggage"] == "user=7"
