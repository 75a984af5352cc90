"""What answers mean: recorded ones of both SDKs and of broken apps, then every rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import standard_error
from holdfast.protocol.limits import MAX_RESPONSE
from holdfast.protocol.opcodes import Opcode
from holdfast.protocol.responses import Outcome, read_response, transport_failure

NOW = 1_795_238_224_500
SDK = {"x-inngest-sdk": "inngest-py:v0.5.18"}
NOT_SDK = "The response did not come from an Inngest SDK"
RECORDED = json.loads((Path(__file__).parent / "recorded" / "final-answers.json").read_text("utf-8"))


def read(status: int, body: bytes = b"", **headers: str) -> Outcome:
    return read_response(status, SDK | {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


def unwrapped(text: object) -> object:
    """The reference stores errors of its own as JSON within a string; ours are objects."""
    return json.loads(text) if isinstance(text, str) and text.startswith('{"error":{') else text


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['source']} {case['status']}")
def test_runs_end_as_recorded(case: dict[str, object]) -> None:
    outcome = read_response(case["status"], case["headers"], case["body"].encode(), NOW)  # type: ignore[arg-type, attr-defined]
    if case["ended"] == "Completed":
        assert outcome.error == ""
        ended = [op for op in outcome.ops or () if op.op is Opcode.RUN_COMPLETE]
        output = ended[0].data if ended else outcome.output
        assert json.loads(output or b"null") == case["result"]
        return
    result, error = unwrapped(case["result"]), case["error"]
    assert isinstance(error, dict)
    derived = json.loads(standard_error(outcome.output, outcome.error))
    if isinstance(unwrapped(error["message"]), dict):  # the same text as JSON in a text
        error = unwrapped(error["message"])["error"]  # type: ignore[index]
    if "stack" in error and "Upstream response" in error["stack"]:
        _, _, upstream = error["stack"].partition("\n\n")
        assert derived.pop("stack").endswith(upstream)
        assert json.loads(outcome.output or b"") == derived | {"stack": json.loads(outcome.output or b"")["stack"]}
        error = {key: value for key, value in error.items() if key != "stack"}
    else:
        assert (json.loads(outcome.output) if outcome.output else None) == result
    if error["error"] == NOT_SDK and case["body"] == "":
        assert outcome.output is None
    if outcome.status != 502:
        assert outcome.error == error["error"]
    assert derived == error


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b"", None),
        (b" \n", None),
        (b"null", b"null"),
        (b' {"a" : 1.0} ', b'{"a" : 1.0}'),
        (b"[1,2]", b"[1,2]"),
        (b'"text"', b'"text"'),
        (b'"{\\"a\\": 1}"', b'{"a": 1}'),
        (b'"{broken"', b'"{broken"'),
        (b'"[1]"', b'"[1]"'),
        (b"{broken", b'"{broken"'),
        (b"plain text", b'"plain text"'),
        (b"01", b'"01"'),
        (b"\xff", '"\ufffd"'.encode()),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
        (b'{"a":"\\ud83d"}', b'{"a":"\\ufffd"}'),
        (b"\x00", b'"\\u0000"'),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
        (b"[" * 1_000 + b"]" * 1_000, b"[" * 1_000 + b"]" * 1_000),
        (b"[" * 1_001 + b"]" * 1_001, json.dumps("[" * 1_001 + "]" * 1_001).encode()),
        (b"[" * 99_999, json.dumps("[" * 99_999).encode()),
    ],
)
def test_bodies_become_json(body: bytes, output: bytes | None) -> None:
    outcome = read(200, body)
    expected = Outcome(200, output=output, sdk=SDK["x-inngest-sdk"], headers=SDK, size=len(body), text=outcome.text)
    assert outcome == expected
    assert read(500, body).output == output


@pytest.mark.parametrize(
    ("status", "headers", "body", "text"),
    [
        (200, SDK, b"plain text", True),
        (500, SDK, b"oh no", True),
        (200, {}, b"<html>", True),
        (206, {}, b"[]", False),
        (502, {}, b"<html>", False),  # the server's own words are the output
        (200, SDK, b'"text"', False),
        (200, SDK, b'"{\\"a\\": 1}"', False),
        (200, SDK, b"", False),
    ],
)
def test_answers_that_are_no_json_are_marked(status: int, headers: dict[str, str], body: bytes, text: bool) -> None:
    assert read_response(status, headers, body, NOW).text is text


def test_ops() -> None:
    outcome = read(206, b'[{"op":"StepRun","id":"a","data":1}]', x_inngest_req_version="2")
    assert [op.id for op in outcome.ops or ()] == ["a"]
    assert (outcome.error, outcome.output, outcome.request_version) == ("", None, 2)


@pytest.mark.parametrize(("text", "version"), [("-1", -1), ("x", None), ("", None), ("9" * 5000, None), ("1.5", None)])
def test_request_versions(text: str, version: int | None) -> None:
    assert read(206, b"[]", x_inngest_req_version=text).request_version == version


def test_unreadable_ops_are_a_failed_attempt() -> None:
    outcome = read(206, b"<html>", retry_after="5")
    text = "error reading generator opcode response: expected JSON object or array"
    assert (outcome.ops, outcome.error) == (None, text)
    assert json.loads(outcome.output or b"") == {"error": {"error": text, "name": "Error", "message": text}}


def test_ops_of_a_stranger() -> None:
    outcome = read_response(206, {}, b"[]", NOW)
    assert (outcome.ops, outcome.error, outcome.output) == (None, NOT_SDK, b"[]")


def test_ops_learn_that_they_must_not_be_retried() -> None:
    body = b'[{"op":"StepError","id":"a","error":{"name":"E","message":"m"}},{"op":"StepRun","id":"b"}]'
    outcome = read(206, body, x_inngest_no_retry="true")
    assert [op.error for op in outcome.ops or ()] == [b'{"message":"m","name":"E","noRetry":true}', None]
    assert (outcome.no_retry, outcome.error) == (True, "")
    (error, _) = read(206, body, x_inngest_no_retry="false", retry_after="5").ops or ()
    assert error.error == b'{"message":"m","name":"E"}'


@pytest.mark.parametrize("status", [100, 199, 300, 307, 404, 429, 500, 503, 0, 999])
def test_other_statuses_are_failures(status: int) -> None:
    outcome = read(status, b'{"message":"m"}')
    assert (outcome.error, outcome.output) == (f"invalid status code: {status}", b'{"message":"m"}')
    assert (outcome.no_retry, outcome.retry_at, outcome.ops) == (False, None, None)


@pytest.mark.parametrize(
    ("status", "headers", "error", "no_retry", "retry_at"),
    [
        (200, {"x_inngest_no_retry": "true"}, "NonRetriableError", True, None),
        (200, {"x_inngest_no_retry": "false"}, "", False, None),
        (200, {"x_inngest_no_retry": ""}, "", False, None),
        (200, {"retry_after": "5"}, "retry at", False, NOW + 5_000),
        (200, {"retry_after": "soon"}, "", False, None),
        (204, {"retry_after": "5", "x_inngest_no_retry": "true"}, "NonRetriableError", True, NOW + 5_000),
        (500, {"x_inngest_no_retry": "true"}, "NonRetriableError", True, None),
        (500, {"retry_after": "5"}, "invalid status code: 500", False, NOW + 5_000),
        (429, {"x_inngest_no_retry": "yes"}, "invalid status code: 429", False, None),
    ],
)
def test_overrides(status: int, headers: dict[str, str], error: str, no_retry: bool, retry_at: int | None) -> None:
    outcome = read(status, b"1", **headers)
    assert (outcome.error, outcome.no_retry, outcome.retry_at) == (error, no_retry, retry_at)
    assert outcome.output == b"1"


@pytest.mark.parametrize(
    ("sdk", "status", "no_retry"),
    [
        ("inngest-js:v1.10.0", 400, True),
        ("inngest-js:v1.10.1", 400, False),
        ("js:v0.9.0", 499, True),
        ("inngest-js:v2.4.0", 404, True),
        ("inngest-js:v2.4.1", 404, False),
        ("inngest-js:v2.0.0", 500, False),
        ("inngest-js:v3.0.0", 400, False),
        ("inngest-js:v4.24.0", 400, False),
        ("inngest-py:v0.1.0", 400, False),
        ("inngest-js:vnext", 400, False),
    ],
)
def test_old_typescript_sdks_mean_no_retry(sdk: str, status: int, no_retry: bool) -> None:
    assert read(status, **{"x-inngest-sdk": sdk}).no_retry is no_retry
    assert read(status, **{"x-inngest-sdk": sdk, "x-inngest-no-retry": "false"}).no_retry is False


def test_something_before_the_sdk_failed() -> None:
    outcome = read_response(502, {"content-type": "text/html"}, "é".encode() * 8_192, NOW)
    error = json.loads(outcome.output or b"")
    message = "Your server returned HTTP 502 before the SDK responded."
    assert (error["error"], error["message"], error["name"]) == (message, message, "Server returned a fatal error")
    assert error["stack"].endswith("\n\nUpstream response (text/html):\n" + "é" * 4_096)
    assert outcome.error == "invalid status code: 502"
    assert "Upstream" not in json.loads(read_response(401, {}, b"", NOW).output or b"")["stack"]
    assert "Upstream response:\n\ufffd" in json.loads(read_response(401, {}, b"\xff", NOW).output or b"")["stack"]


def test_a_stranger_who_is_glad() -> None:
    outcome = read_response(200, {"x-inngest-no-retry": "true", "retry-after": "5"}, b"hi", NOW)
    assert (outcome.error, outcome.output, outcome.no_retry) == (NOT_SDK, b'"hi"', True)


def stream(**envelope: object) -> Outcome:
    return read(201, b"    \n " + json.dumps(envelope).encode())


def test_streams_are_unwrapped() -> None:
    outcome = stream(
        status=206, headers={"X-Inngest-No-Retry": "true", "n": 5, "e": ""}, body='[{"op":"StepRun","id":"a"}]'
    )
    assert (outcome.status, outcome.no_retry, [op.id for op in outcome.ops or ()]) == (206, True, ["a"])
    assert outcome.headers == SDK | {"x-inngest-no-retry": "true", "n": "5", "e": ""}


@pytest.mark.parametrize(
    ("envelope", "status", "error", "output"),
    [
        ({"status": 200, "body": '{"a": 1}'}, 200, "", b'{"a": 1}'),
        ({"status": 200, "body": {"a": 1}}, 200, "", b'{"a": 1}'),
        ({"status": 200, "body": '"text"'}, 200, "", b'"text"'),
        ({"status": 200, "body": "text"}, 200, "", b'"text"'),
        ({"status": 200}, 200, "", None),
        ({"status": 200, "body": None, "headers": None, "error": None}, 200, "", b"null"),
        ({"status": 201, "body": "1"}, 201, "", b"1"),
        ({"status": 500, "body": '{"message":"m"}'}, 500, "invalid status code: 500", b'{"message":"m"}'),
        ({"body": "1"}, 0, "invalid status code: 0", b"1"),
        ({"status": 206, "error": "stopped"}, 201, "stopped",
         b'{"error":{"error":"stopped","name":"Error","message":"stopped"}}'),
    ],
)  # fmt: skip
def test_stream_results(envelope: dict[str, object], status: int, error: str, output: bytes | None) -> None:
    outcome = stream(**envelope)
    assert (outcome.status, outcome.error, outcome.output) == (status, error, output)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "unexpected end of JSON input"),
        (b"    ", "unexpected end of JSON input"),
        (b'  {"status":2', "unexpected end of JSON input"),
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"[]", "not an object of status, headers and body"),
        (b'{"status":"200"}', "not an object of status, headers and body"),
        (b'{"body":' + b"[" * 50_000, "exceeded max depth"),
        (b'{"body":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "exceeded max depth"),
    ],
)
def test_broken_streams(body: bytes, why: str) -> None:
    outcome = read(201, body)
    assert (outcome.error, outcome.status, outcome.no_retry) == (f"error parsing stream: {why}", 201, False)
    assert json.loads(outcome.output or b"")["error"]["message"] == outcome.error


def test_too_large_answers() -> None:
    outcome = read(200, b" " * (MAX_RESPONSE + 1))
    assert outcome == transport_failure(
        "Your function's response body exceeds the maximum size limit", "output_too_large"
    )
    assert outcome.status == 0
    error = json.loads(outcome.output or b"")["error"]
    message = "Your function's response body exceeds the maximum size limit"
    text = f"output_too_large: {message}"
    assert error == {"error": text, "name": "output_too_large", "message": message, "stack": text}
    assert json.loads(standard_error(outcome.output, outcome.error)) == error  # what on-failure handlers are told


def test_transport_failures() -> None:
    text = "Unable to reach SDK URL"
    outcome = transport_failure(text)
    assert (outcome.status, outcome.error, outcome.no_retry, outcome.retry_at) == (0, text, False, None)
    assert outcome.output == b'{"error":{"error":"%b","name":"Error","message":"%b"}}' % (text.encode(), text.encode())
    assert transport_failure('odd "\udcff"').output == transport_failure('odd "?"').output


HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-inngest-sdk", "x-inngest-no-retry", "x-inngest-req-version", "retry-after", "content-type", "other"]
    ),
    st.text() | st.sampled_from(["true", "inngest-js:v2.0.0", "2", "99999", "2030-01-01T00:00:00Z"]),
)
ENVELOPE = st.dictionaries(
    st.sampled_from(["status", "headers", "body", "error"]),
    st.integers() | st.text() | st.none() | st.dictionaries(st.text(), st.text()) | st.just("[]"),
)


@given(
    st.sampled_from([200, 201, 204, 206, 400, 500]) | st.integers(0, 999),
    HEADERS,
    st.binary() | ENVELOPE.map(lambda envelope: json.dumps(envelope).encode()),
)
def test_any_answer_is_understood(status: int, headers: dict[str, str], body: bytes) -> None:
    outcome = read_response(status, headers, body, NOW)
    if outcome.output is not None:
        json.loads(outcome.output)
    json.loads(standard_error(outcome.output, outcome.error))
    assert not (outcome.ops and outcome.error)
