"""Traces of runs that are sent out, to a collector in this process; and the traces of senders that runs continue."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

from holdfast.protocol.ids import step_hash
from holdfast.protocol.tracing import span_id, step_span_id, trace_id
from holdfast.server.telemetry import exporter
from holdfast.server.telemetry.settings import TelemetryError

from .telemetry import Rig, one_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEP = step_hash("charge")
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class Collector:
    """What a collector got. `refusals` are statuses that it answers first."""

    def __init__(self) -> None:
        self.refusals: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.came = threading.Condition()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self.came:
            self.headers.append(headers)
            self.came.notify_all()
            if self.refusals:
                return self.refusals.pop(0)
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            for group in service.ExportTraceServiceRequest.FromString(plain).resource_spans:
                self.resources.append(read(group.resource.attributes))
                self.spans += [span for scoped in group.scope_spans for span in scoped.spans]
            return 200

    def wait(self, what: Callable[[], bool]) -> None:
        """Waits for what requests bring about."""
        with self.came:
            assert self.came.wait_for(what, 20), [span.name for span in self.spans]


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.collector.take({k.lower(): v for k, v in self.headers.items()}, body)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.collector = Collector()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    yield server.collector  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def read(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def sent(rig: Rig, collector: Collector, count: int) -> dict[str, Any]:
    """The spans that come, by span id; the server's loop runs meanwhile."""
    rig.client.loop.run(_aside(lambda: len(collector.spans) >= count, collector))
    return {span.span_id.hex(): span for span in collector.spans}


async def _aside(what: Callable[[], bool], collector: Collector) -> None:
    await asyncio.to_thread(collector.wait, what)


def test_a_run_is_sent_with_the_ids_that_its_app_was_told(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "jobs")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with Rig(one_step()) as rig:
        run = rig.run()
        spans = sent(rig, collector, 4)
        told = [call["traceparent"].split("-") for call in rig.app.calls]
        figures = ""
        while "holdfast_traces_exported_total 1.0" not in figures:  # it counts what the collector took
            figures = rig.client.get("/metrics").text
    assert "holdfast_traces_dropped_total 0.0" in figures
    assert {trace for _, trace, _, _ in told} == {trace_id(run)} == {span.trace_id.hex() for span in spans.values()}
    root, step = spans[span_id(run)], spans[step_span_id(run, STEP)]
    assert (root.name, root.parent_span_id, step.name, step.parent_span_id) == (
        "shop-charge", b"", "charge", root.span_id,
    )  # fmt: skip
    first, last = (spans[span] for _, _, span, _ in told)
    assert (first.parent_span_id, last.parent_span_id) == (step.span_id, root.span_id)
    assert (
        root.start_time_unix_nano <= first.start_time_unix_nano <= first.end_time_unix_nano <= root.end_time_unix_nano
    )
    attributes = read(root.attributes)
    assert attributes["inngest.run.id"] == run
    assert attributes["inngest.function.slug"] == "shop-charge"
    assert attributes["inngest.run.status"] == "completed"
    assert attributes["messaging.system"] == "inngest"
    assert read(step.attributes)["inngest.step.name"] == "charge"
    assert read(first.attributes)["http.response.status_code"] == 206
    assert {root.kind, first.kind} == {5, 3}
    (headers,) = collector.headers
    assert (headers["x-token"], headers["content-encoding"]) == ("secret", "gzip")
    (resource,) = collector.resources
    assert (resource["service.name"], resource["team"]) == ("jobs", "a")


def test_a_run_continues_the_trace_of_its_sender(collector: Collector) -> None:
    with Rig(one_step()) as rig:
        run = rig.run({"traceparent": PARENT, "tracestate": "v=1", "baggage": "user=7"})
        spans = sent(rig, collector, 4)
        trace = rig.trace(run)
    assert {span.trace_id.hex() for span in spans.values()} == {"a" * 32} == {trace["traceID"]}
    assert spans[span_id(run)].parent_span_id.hex() == "b" * 16
    for call in rig.app.calls:
        assert call["traceparent"].startswith(f"00-{'a' * 32}-")
        assert call["traceparent"].endswith("-01")
        assert call["tracestate"].endswith(",v=1")
        assert call["baggage"] == "user=7"


@pytest.mark.parametrize(
    "parent", ["", "nonsense", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01", f"{PARENT}-more"]
)
def test_a_malformed_trace_counts_as_none(parent: str) -> None:
    with Rig(one_step()) as rig:
        run = rig.run({"traceparent": parent, "baggage": "user=7"})
        assert {call["traceparent"].split("-")[1] for call in rig.app.calls} == {trace_id(run)}
        assert not any("baggage" in call for call in rig.app.calls)


def test_a_trace_outlives_a_restart_before_its_run_starts(tmp_path: Path) -> None:
    config = {"persist": True, "directory": tmp_path}
    with Rig(one_step(), **config) as rig:
        rig.pause()
        rig.send({"traceparent": PARENT})
    with Rig(one_step(), **config) as rig:
        rig.resume()
        rig.wait_calls(2)
        assert {call["traceparent"].split("-")[1] for call in rig.app.calls} == {"a" * 32}


def test_a_failed_run_and_its_attempts_say_so(collector: Collector) -> None:
    error = {"name": "Error", "message": "no money", "stack": "Error: no money"}

    def fails(_headers: dict[str, str], _body: Any) -> tuple[int, Any]:
        return 500, error

    with Rig(fails) as rig:
        run = rig.run()
        spans = sent(rig, collector, 2)
    assert spans[span_id(run)].status.code == 2
    (call,) = [span for id, span in spans.items() if id != span_id(run)]
    assert call.status.code == 2
    assert call.parent_span_id.hex() == span_id(run)


def test_a_collector_that_is_away_gets_it_later(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "RETRY_S", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    collector.refusals = [400, 401]
    with Rig(one_step()) as rig:
        rig.run()
        sent(rig, collector, 4)
    out = rig.server.traces_out
    assert out is not None
    assert (out.exported, out.dropped, len(collector.headers)) == (1, 0, 3)


def test_what_is_refused_for_good_is_counted(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "RETRY_S", 0.001)
    monkeypatch.setattr(exporter, "TRIES", 3)
    collector.refusals = [400] * 3
    with Rig(one_step()) as rig:
        rig.run()
        rig.client.loop.run(_aside(lambda: len(collector.headers) == 3, collector))
        rig.run()
        sent(rig, collector, 4)
    out = rig.server.traces_out
    assert out is not None
    assert (out.exported, out.dropped) == (1, 1)


def test_the_queue_is_bounded(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with Rig(one_step()) as rig:
        for _ in range(5):
            rig.run()
        assert rig.server.traces_out is not None
        assert rig.server.traces_out.dropped == 3
    assert len(collector.spans) == 8, "what was in the queue is sent at the end"


def test_a_collector_that_says_nothing_does_not_hold_up_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(collector, "take", lambda *_: 200 if stuck.wait(30) else 503)
    monkeypatch.setattr(exporter, "FLUSH_S", 0.05)
    with Rig(one_step()) as rig:
        rig.run()
    stuck.set()  # the server is closed by now, though nothing was answered


@pytest.mark.parametrize(
    ("sampler", "argument", "parent", "takes"),
    [
        ("always_off", "", PARENT, False),
        ("always_on", "", PARENT[:-1] + "0", True),
        ("traceidratio", "0", "", False),
        ("parentbased_traceidratio", "0", PARENT, True),
        ("parentbased_always_on", "", PARENT[:-1] + "0", False),
        ("", "", "", True),
    ],
)
def test_samplers(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, parent: str, takes: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    with Rig(one_step()) as rig:
        rig.run({"traceparent": parent})
    assert bool(collector.spans) is takes


def test_the_console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    with Rig(one_step()) as rig:
        run = rig.run()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert {line["context"]["trace_id"] for line in lines} == {f"0x{trace_id(run)}"}


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_it_can_be_switched_off(collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with Rig(one_step()) as rig:
        rig.run()
        assert rig.server.traces_out is None
    assert not collector.spans


def test_grpc_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    told = "set it to http/protobuf, and the endpoint to the collector's port"
    with pytest.raises(TelemetryError, match=told), Rig(one_step()):
        pass
