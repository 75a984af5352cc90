"""OTLP spans of user code: what is taken in protobuf and JSON, and where the trace shows it."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from tests.api.telemetry import Rig, one_step

from holdfast.protocol.ids import step_hash, ulid
from holdfast.server.telemetry import spans as limits

MS = 1_000_000
START = 1_795_237_080_000
STEP = step_hash("charge")
PROTOBUF = "application/x-protobuf"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(one_step()) as rig:
        yield rig


class Ran:
    """A run with what its app was told, as an SDK would attach it to spans."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.id = rig.run()
        self.calls = [call for call in rig.app.calls if call["x-run-id"] == self.id]
        state = dict(part.split("=", 1) for part in self.calls[0]["tracestate"].split(","))
        self.function = state["inngest@fn"]

    def span(
        self, number: int, name: str = "work", *, parent: str = "", call: int = 0, took: int = 5, **more: Any
    ) -> Any:
        """An OTLP/JSON span in the step, or outside of it with `step=None`."""
        state = dict(part.split("=", 1) for part in self.calls[call]["tracestate"].split(","))
        attributes = {
            "sdk.run.id": self.id, "sys.function.id": self.function, "sys.app.id": state["inngest@app"],
            "inngest.traceref": state["inngest@traceref"], "inngest.traceparent": self.calls[call]["traceparent"],
        }  # fmt: skip
        step = more.pop("step", STEP)
        if step is not None:
            attributes |= {"inngest.step.hash": step, "inngest.step.attempt": 0, "inngest.step.id": "charge"}
        attributes |= more.pop("attributes", {})
        return {
            "traceId": "ab" * 16, "spanId": f"{number:016x}", "parentSpanId": parent, "name": name, "kind": 3,
            "startTimeUnixNano": str(START * MS + number), "endTimeUnixNano": str((START + took) * MS + number),
            "attributes": pairs(attributes), "status": {}, **more,
        }  # fmt: skip

    def shown(self, name: str = "charge") -> Any:
        """The step's own node in the tree: the last of its name."""
        return [node for node in self.rig.trace(self.id)["childrenSpans"] if node["name"] == name][-1]


def pairs(attributes: dict[str, Any]) -> list[Any]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def any_value(value: Any) -> Any:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(one) for one in value]}}
        case dict():
            return {"kvlistValue": {"values": pairs(value)}}
        case _:
            return {"stringValue": value}


def request(*spans: Any) -> Any:
    resource = {"attributes": pairs({"service.name": "shop", "host.name": "h"})}
    scope = {"name": "http-lib", "version": "1.2"}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}]}


def post(rig: Rig, *spans: Any, path: str = "/v1/traces/userland") -> Any:
    answer = rig.client.post(path, json=request(*spans))
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.content else None


def as_protobuf(document: Any) -> bytes:
    """The same request in protobuf: its ids are bytes there, so they are put in apart from the rest."""
    sent = [span for group in document["resourceSpans"] for scoped in group["scopeSpans"] for span in scoped["spans"]]
    ids = [[bytes.fromhex(span.pop(name)) for name in ("traceId", "spanId", "parentSpanId")] for span in sent]
    message = json_format.Parse(json.dumps(document), service.ExportTraceServiceRequest())
    found = [span for group in message.resource_spans for scoped in group.scope_spans for span in scoped.spans]
    for span, (trace, own, parent) in zip(found, ids, strict=True):
        span.trace_id, span.span_id, span.parent_span_id = trace, own, parent
    return message.SerializeToString()


def test_a_steps_spans_hang_beneath_it(rig: Rig) -> None:
    ran = Ran(rig)
    outer = ran.span(1, "outer", attributes={"a": 1, "b": [True, 2.5], "c": {"d": "e"}, "_inngest.x": "y"})
    inner = ran.span(2, "inner", parent=outer["spanId"], status={"code": 2, "message": "no"}, took=7)
    assert post(rig, inner, outer) == {}
    (node,) = ran.shown()["childrenSpans"]
    assert (node["name"], node["status"], node["isUserland"], node["duration"]) == ("outer", "COMPLETED", True, 5)
    assert node["parentSpanID"] == ran.shown()["spanID"]
    told = node["userlandSpan"]
    assert json.loads(told.pop("spanAttrs")) == {"a": 1, "b": [True, 2.5], "c": {"d": "e"}}
    assert json.loads(told.pop("resourceAttrs")) == {"service.name": "shop", "host.name": "h"}
    assert told == {
        "spanName": "outer", "spanKind": "CLIENT", "serviceName": "shop", "scopeName": "http-lib",
        "scopeVersion": "1.2",
    }  # fmt: skip
    (below,) = node["childrenSpans"]
    assert (below["name"], below["status"], below["parentSpanID"]) == ("inner", "FAILED", outer["spanId"])


def test_protobuf_and_gzip_both_ways(rig: Rig) -> None:
    ran = Ran(rig)
    body = as_protobuf(
        request(ran.span(1, "zipped", parent="ff" * 8), ran.span(2, step=None, attributes={"sdk.run.id": ""}))
    )
    headers = {"content-type": PROTOBUF, "content-encoding": "gzip", "accept-encoding": "gzip"}
    answer = rig.client.post("/v1/traces/userland", content=gzip.compress(body), headers=headers)
    assert (answer.status_code, answer.headers["content-type"], answer.headers["content-encoding"]) == (
        200,
        PROTOBUF,
        "gzip",
    )
    response = service.ExportTraceServiceResponse.FromString(gzip.decompress(answer.content))
    assert response.partial_success.rejected_spans == 1
    assert "sdk.run.id that is no ULID" in response.partial_success.error_message
    assert [node["name"] for node in ran.shown()["childrenSpans"]] == ["zipped"]


def test_the_longest_of_a_span_that_comes_again_is_kept(rig: Rig) -> None:
    ran = Ran(rig)
    for took in (5, 9, 7):
        post(rig, ran.span(1, took=took))
    (node,) = ran.shown()["childrenSpans"]
    assert node["duration"] == 9


def test_calls_to_models_and_over_http_become_metadata_of_span_and_step(rig: Rig) -> None:
    ran = Ran(rig)
    model = {
        "gen_ai.request.model": "m-1", "gen_ai.system": "acme", "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.output_tokens": 4, "gen_ai.response.finish_reasons": ["stop"], "gen_ai.prompt": "secret",
    }  # fmt: skip
    web = {"http.request.method": "GET", "http.response.status_code": 200, "url.full": "https://api.example/v1/x?y=1"}
    post(rig, ran.span(1, attributes=model), ran.span(2, attributes=model, took=10), ran.span(3, attributes=web))
    step = ran.shown()
    told = {(one["kind"], one["scope"]): one["values"] for one in step["metadata"]}
    assert told["inngest.ai", "extended_trace"] == {
        "request_model": "m-1", "provider": "acme", "input_tokens": 20, "output_tokens": 8, "total_tokens": 28,
        "finish_reasons": ["stop"], "latency_ms": 15,
    }  # fmt: skip
    page = {"method": "GET", "response_status": 200, "domain": "api.example", "path": "/v1/x"}
    assert told["inngest.http", "extended_trace"] == page
    first, _, last = step["childrenSpans"]
    assert [one["values"]["total_tokens"] for one in first["metadata"]] == [14]
    assert [one["values"] for one in last["metadata"]] == [page]


def test_metadata_of_a_span_is_shown_with_it(rig: Rig) -> None:
    ran = Ran(rig)
    span = ran.span(1)
    post(rig, span)
    target = {"step_id": "charge", "step_attempt": 0, "span_id": span["spanId"]}
    update = {"kind": "userland.x", "values": {"a": 1}}
    answer = rig.client.post(f"/v1/runs/{ran.id}/metadata", json={"target": target, "metadata": [update]})
    assert answer.status_code == 200
    (node,) = ran.shown()["childrenSpans"]
    assert [(one["scope"], one["kind"], one["values"]) for one in node["metadata"]] == [
        ("extended_trace", "userland.x", {"a": 1})
    ]


def test_the_sdks_wrapper_gives_its_place_to_what_is_in_it(rig: Rig) -> None:
    ran = Ran(rig)
    wrapper = ran.span(1, "inngest.execution", step=None, call=1)
    inside = ran.span(2, "in the body", step=None, parent=wrapper["spanId"], call=1)
    stepped = ran.span(3, "in the step", parent=wrapper["spanId"], attributes={"inngest.step.parentSpanId": "cd" * 8})
    post(rig, wrapper, inside, stepped)
    assert [node["name"] for node in ran.shown("Finalization")["childrenSpans"]] == ["in the body"]
    assert [node["name"] for node in ran.shown()["childrenSpans"]] == ["in the step"]
    assert "inngest.execution" not in json.dumps(rig.trace(ran.id))


def test_a_span_of_a_request_that_is_not_shown_hangs_at_the_root(rig: Rig) -> None:
    ran = Ran(rig)
    reference = quote(json.dumps({"tp": f"00-{'a' * 32}-{'b' * 16}-01"}))
    post(rig, ran.span(1, "lost", step=None, attributes={"inngest.traceref": reference}))
    trace = rig.trace(ran.id)
    (node,) = [node for node in trace["childrenSpans"] if node["isUserland"]]
    assert (node["name"], node["parentSpanID"]) == ("lost", trace["spanID"])


def test_spans_in_a_circle_or_in_a_long_line_are_all_shown(rig: Rig) -> None:
    ran = Ran(rig)
    circle = [ran.span(1, "a", parent=f"{2:016x}"), ran.span(2, "b", parent=f"{1:016x}")]
    line = [ran.span(10, "line"), *(ran.span(n, "line", parent=f"{n - 1:016x}") for n in range(11, 1_500))]
    post(rig, *circle, *line)
    answer = rig.client.get(f"/api/v2/runs/{ran.id}/trace")
    assert answer.status_code == 200
    assert answer.text.count('"line"') == 1_490
    shown = ran.shown()["childrenSpans"]
    assert {"a", "b", "line"} <= {node["name"] for node in shown}


def test_what_is_rejected_and_why(rig: Rig) -> None:
    ran = Ran(rig)
    other = ulid(1, 1)
    bad = [
        (ran.span(1, attributes={"inngest.traceref": "nonsense"}), "no inngest.traceref with a tp"),
        (ran.span(2, attributes={"inngest.traceref": quote('{"ts":1}')}), "no inngest.traceref with a tp"),
        (ran.span(3, attributes={"sdk.run.id": other}), f"no run has the ID {other}"),
        (ran.span(4, attributes={"sdk.run.id": 7}), "has no sdk.run.id"),
        (ran.span(5, attributes={"sys.function.id": other}), "is not of the function"),
        (ran.span(6, traceId="xyz"), "no trace id"),
        (ran.span(7, startTimeUnixNano=str(2**64 - 1), endTimeUnixNano=str(2**64 - 1)), "times that can't be"),
        (ran.span(8, attributes={"long": "x" * limits.MAX_SPAN}), "bytes; at most"),
    ]
    for span, text in bad:
        partial = post(rig, span)["partialSuccess"]
        assert partial["rejectedSpans"] == "1"
        assert text in partial["errorMessage"]
    assert post(rig, *(span for span, _ in bad), ran.span(9))["partialSuccess"]["rejectedSpans"] == str(len(bad))
    assert len(ran.shown()["childrenSpans"]) == 1


def test_a_run_keeps_so_many(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SPANS", 3)
    ran = Ran(rig)
    assert post(rig, ran.span(1), ran.span(2)) == {}
    partial = post(rig, ran.span(3), ran.span(4))["partialSuccess"]
    assert partial == {"rejectedSpans": "1", "errorMessage": "a run keeps 3 spans of 8 MiB together"}
    assert len(ran.shown()["childrenSpans"]) == 3


def test_a_run_keeps_so_many_bytes_of_requests_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(rig)
    monkeypatch.setattr(limits, "MAX_SPAN_BYTES", 1_000)
    spans, partition, slow = rig.server.apis._spans, rig.server.partition, asyncio.Event()

    async def at_once() -> list[int]:
        bodies = [json.dumps(request(ran.span(number, "x" * 400))).encode() for number in range(1, 5)]
        asked = [asyncio.ensure_future(spans.accept(body, "", json=True, strict=True)) for body in bodies]
        while sum(one.done() for one in asked) < 3:
            await asyncio.wait([one for one in asked if not one.done()], return_when=asyncio.FIRST_COMPLETED)
        slow.set()
        return [one.rejected for one in await asyncio.gather(*asked)]

    committed = partition.committed

    async def late() -> None:
        await slow.wait()
        await committed()

    monkeypatch.setattr(partition, "committed", late)
    assert sum(rig.client.loop.run(at_once())) == 3


def test_large_requests_are_decoded_beside_the_event_loop(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(rig)
    threads: list[threading.Thread] = []
    decode = limits.otlp.decode

    def watched(body: bytes, *, json: bool) -> Any:
        threads.append(threading.current_thread())
        return decode(body, json=json)

    monkeypatch.setattr(limits.otlp, "decode", watched)
    post(rig, ran.span(1))
    post(rig, ran.span(2, attributes={"x": "y" * limits.LARGE}))
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", PROTOBUF])
@pytest.mark.parametrize(
    ("content", "encoding", "status", "text"),
    [
        (b"\xff\xff\xff", "", 400, "Invalid payload"),
        (b"{}", "br", 400, "Invalid payload: the content encoding br is not supported; send gzip or none"),
        (b"{}", "gzip", 400, "Invalid payload: not gzip"),
        (gzip.compress(b"{}")[:-9], "gzip", 400, "Invalid payload: not gzip: it ends too early"),
        (b" " * (limits.MAX_BODY + 1), "", 413, "Request body too large"),
        (gzip.compress(b" " * (limits.MAX_BODY + 1)), "gzip", 413, "Request body too large"),
    ],
)
def test_bad_requests(rig: Rig, kind: str, content: bytes, encoding: str, status: int, text: str) -> None:
    headers = {"content-type": kind, **({"content-encoding": encoding} if encoding else {})}
    answer = rig.client.post("/v1/traces/userland", content=content, headers=headers)
    assert answer.status_code == status
    if "json" in kind:
        assert answer.json()["message"].startswith(text)
    else:
        assert answer.content[:1] == b"\x12"  # google.rpc.Status.message
        assert text.encode() in answer.content


def test_json_that_is_nested_too_deeply_is_refused_or_cut(rig: Rig) -> None:
    ran = Ran(rig)
    value: Any = "x"
    for _ in range(200):
        value = [value]
    post(rig, ran.span(1, attributes={"deep": value}))
    bomb = b'{"resourceSpans":' + b'[{"a":' * 100_000
    assert (
        rig.client.post("/v1/traces/userland", content=bomb, headers={"content-type": "application/json"}).status_code
        == 400
    )


def test_dev_traces_takes_runs_spans_and_passes_over_others(rig: Rig) -> None:
    ran = Ran(rig)
    other = {**ran.span(9, "other"), "attributes": []}
    deleted = ran.span(8, "deleted", attributes={"sys.step.delete": True})
    assert (
        post(rig, ran.span(1, "mine", attributes={"inngest.traceref": ""}), other, deleted, path="/dev/traces") is None
    )
    assert [node["name"] for node in ran.shown()["childrenSpans"]] == ["mine"]
    for kind in ("text/plain", "application/json; charset=utf-8", ""):
        answer = rig.client.post("/dev/traces", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"] == f"unable to handle unknown content type for traces: {kind}"
    answer = rig.client.post("/dev/traces", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_a_span_of_a_month(rig: Rig) -> None:
    ran, month = Ran(rig), 30 * 86_400_000
    post(rig, ran.span(1, "long", took=month))
    (span,) = [child for child in ran.shown()["childrenSpans"] if child["name"] == "long"]
    assert span["duration"] == month


def test_attributes_that_are_not_what_they_should_be(rig: Rig) -> None:
    ran = Ran(rig)
    post(rig, ran.span(1, "truth", attributes={"inngest.step.attempt": True}, step=None))
    post(rig, ran.span(2, "large", attributes={"inngest.step.attempt": 2**40}))
    nested = quote('{"x": ' + "[" * 2_000 + "]" * 2_000 + "}")
    assert (
        "traceref" in post(rig, ran.span(3, attributes={"inngest.traceref": nested}))["partialSuccess"]["errorMessage"]
    )
    tokens = request(ran.span(4, attributes={"gen_ai.usage.input_tokens": 10**400}))
    answer = rig.client.post("/v1/traces/userland", json=tokens)
    assert (answer.status_code, "64 bits" in answer.text) == (400, True)
    names = json.dumps(rig.trace(ran.id))
    assert '"truth"' in names
    assert '"large"' in names
