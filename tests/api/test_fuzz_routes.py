"""Routes that take bodies, given anything: never a 500, never a dead server, and every refusal says why."""

from __future__ import annotations

import http.client
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import mutations
from .serving import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "01M7YM2W2BRDEPCPSPM2Q28YXA"
STEP = "a2b41bbaa70d5e60853e1011e31a6488e8eac1ac"
EVENT = {
    "name": "fuzz/event",
    "data": {"a": 1, "b": [{"c": "x"}], "_inngest": {"fn_id": "fuzz-a", "correlation_id": "x.y"}},
    "user": {"id": "u"},
    "id": "once",
    "ts": 1_795_253_887_409,
    "v": "1",
    "meta": {"sessions": {"s": "1"}, "deliver": "x"},
}
OPS = [
    {
        "op": "StepRun",
        "id": STEP,
        "name": "s",
        "displayName": "s",
        "opts": {"type": "x", "input": [1]},
        "data": {"a": 1},
        "userland": {"id": "s", "index": 1},
        "timing": {"a": 1, "b": 2},
    },
    {"op": "StepPlanned", "id": STEP, "name": "s", "opts": {"parallelMode": "race"}},
    {"op": "StepError", "id": STEP, "name": "s", "error": {"name": "E", "message": "m", "stack": "t"}},
    {"op": "Sleep", "id": STEP, "name": "1h", "opts": {"duration": "1h"}},
    {
        "op": "WaitForEvent",
        "id": STEP,
        "name": "w",
        "opts": {"event": "e", "timeout": "1h", "if": "event.data.a == async.data.a"},
    },
    {
        "op": "InvokeFunction",
        "id": STEP,
        "name": "i",
        "opts": {"function_id": "fuzz-a", "payload": {"data": {}, "v": "1"}, "timeout": "1h"},
    },
    {"op": "DeferAdd", "id": STEP, "name": "d", "opts": {"fn_slug": "fuzz-a", "input": {"a": 1}}},
    {"op": "DeferAbort", "id": STEP, "name": "d", "opts": {"target_hashed_id": STEP}},
    {"op": "WaitForSignal", "id": STEP, "name": "g", "opts": {"signal": "s", "timeout": "1h", "conflict": "replace"}},
    {"op": "RunComplete", "id": STEP, "name": "c", "data": {"status": 200, "body": "x"}},
]
FUNCTION = {
    "id": "fuzz-a",
    "name": "a",
    "triggers": [{"event": "fuzz/event", "expression": "event.data.a == 1"}, {"cron": "0 0 1 1 *"}],
    "steps": {
        "step": {
            "id": "step",
            "name": "step",
            "runtime": {"type": "http", "url": "http://127.0.0.1:1/x?fnId=fuzz-a&stepId=step"},
            "retries": {"attempts": 0},
        }
    },
    "concurrency": [{"limit": 1, "key": "event.data.a", "scope": "fn"}],
    "throttle": {"limit": 1, "period": "1s", "burst": 1, "key": "event.data.a"},
    "rateLimit": {"limit": 1, "period": "1m", "key": "event.data.a"},
    "debounce": {"period": "1s", "key": "event.data.a", "timeout": "1m"},
    "priority": {"run": "event.data.a"},
    "batchEvents": {"maxSize": 5, "timeout": "1s", "key": "event.data.a"},
    "idempotency": "event.data.a",
    "cancel": [{"event": "fuzz/cancel", "if": "event.data.a == async.data.a", "timeout": "1h"}],
    "singleton": {"mode": "skip", "key": "event.data.a"},
    "timeouts": {"start": "1m", "finish": "1h"},
}
PLAIN = {key: FUNCTION[key] for key in ("id", "name", "triggers", "steps", "cancel", "concurrency", "priority")}
REGISTRATION = {
    "url": "http://127.0.0.1:1/x",
    "deployType": "ping",
    "appName": "fuzz",
    "sdk": "inngest-py:v0.5.19",
    "v": "0.1",
    "framework": "raw",
    "appVersion": "1",
    "functions": [PLAIN],
    "capabilities": {"in_band_sync": "v1"},
    "inspection": {},
}
BEGIN = {
    "run_id": RUN,
    "request_version": 2,
    "retries": 1,
    "idempotency": "",
    "steps": OPS[:1],
    "event": {
        "name": "inngest/http.request",
        "data": {
            "domain": "http://127.0.0.1:1",
            "method": "POST",
            "path": "/p",
            "query_params": "a=1",
            "body": "{}",
            "fn": "",
            "content_type": "application/json",
            "ip": "::1",
        },
    },
}
CHECKPOINT = {"run_id": RUN, "fn_id": "f", "qi_id": "eA==", "generation_id": 1, "steps": OPS[:2], "request_id": RUN}
HEADERS = mutations.headers(
    "content-type",
    "x-inngest-event-id-seed",
    "x-inngest-sdk",
    "x-inngest-expected-server-kind",
    "user-agent",
    "accept-encoding",
    "x-inngest-env",
    "authorization",
    "x-inngest-platform",
    "content-encoding",
    "if-none-match",
)

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "100"))
"""Per test: more of them to hunt for defects."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)


class Client:
    """One connection, opened again when the server closed it."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        lines = {**headers, "content-length": str(len(body))}
        self.connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in lines.items():
            self.connection.putheader(name, value.encode("latin-1"))
        self.connection.endheaders(body)
        with self.connection.getresponse() as answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()

    def check(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Sends a request; whatever it is, the answer is in order."""
        try:
            status, kind, answer = self.send(method, path, body, headers)
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            raise AssertionError(f"no answer: {error!r}\n{self.server.tail(20)}") from error
        assert status < 500, (status, answer, self.server.tail(20))
        if status >= 400 and "json" in kind:
            refusal = json.loads(answer)
            text = refusal.get("error") or refusal.get("message")
            assert isinstance(text, str), answer
            assert text, answer
        else:
            assert status < 400 or status == 405 or answer.strip(), status  # a 405 has no body in this protocol
        return status, answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("fuzz"), "--retry-interval", "3600") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    client = Client(server)
    assert client.check("POST", "/fn/register", mutations.dumps(REGISTRATION), {})[0] == 200
    yield client
    client.connection.close()


@pytest.fixture(autouse=True)
def _unharmed(server: Served, client: Client) -> Iterator[None]:
    """The server lives, still takes events, and its log knows of nothing unforeseen."""
    yield
    assert client.check("GET", "/health", b"", {})[0] == 200
    assert len(server.send("fuzz/nobody", {})) == 1
    assert server.errors() == []


def _segment(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="") or "%20"


@fuzz
@given(st.text(max_size=5), mutations.bodies([EVENT, [EVENT, EVENT], EVENT | {"name": "fuzz/cancel"}]), HEADERS)
def test_events(client: Client, key: str, body: bytes, headers: dict[str, str]) -> None:
    status, answer = client.check("POST", f"/e/{_segment(key)}", body, headers)
    assert status in {200, 400, 413}
    ids: Any = json.loads(answer)["ids"]
    assert isinstance(ids, list)


@fuzz
@given(mutations.damaged([EVENT]))
def test_events_meet_a_function_that_listens(client: Client, event: Any) -> None:
    if isinstance(event, dict):
        event["name"] = "fuzz/event"
    client.check("POST", "/e/k", mutations.dumps(event), {})


@fuzz
@given(st.text(max_size=12) | st.just("fuzz-a"), mutations.bodies([EVENT, {"data": {}}]), HEADERS)
def test_invocations(client: Client, slug: str, body: bytes, headers: dict[str, str]) -> None:
    client.check("POST", f"/invoke/{_segment(slug)}", body, headers)


@fuzz
@given(mutations.bodies([REGISTRATION, REGISTRATION | {"functions": [FUNCTION]}]), HEADERS)
def test_registrations(client: Client, body: bytes, headers: dict[str, str]) -> None:
    client.check("POST", "/fn/register", body, headers)


@fuzz
@given(mutations.damaged([FUNCTION, PLAIN]), mutations.damaged([EVENT]))
def test_odd_functions_meet_odd_events(client: Client, function: Any, event: Any) -> None:
    body = mutations.dumps(REGISTRATION | {"appName": "odd", "functions": [function]})
    status, _ = client.check("POST", "/fn/register", body, {})
    assert status in {200, 400}
    client.check("POST", "/e/k", mutations.dumps(event), {})


@fuzz
@given(
    st.sampled_from(("", f"/{RUN}/async", f"/{RUN}/steps", "/x/async", "/%00/steps")),
    st.sampled_from(("/v1/checkpoint", "/v1/http/runs")),
    mutations.bodies([BEGIN, CHECKPOINT, *({"run_id": RUN, "steps": [op]} for op in OPS)]),
    HEADERS,
)
def test_checkpoints(client: Client, route: str, prefix: str, body: bytes, headers: dict[str, str]) -> None:
    client.check("POST", prefix + route, body, headers)


@fuzz
@given(
    st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=25, max_size=25),
    mutations.damaged([BEGIN]),
    st.lists(mutations.damaged([[op] for op in OPS] + [OPS]), max_size=3),
)
def test_endpoints_report_odd_steps(client: Client, number: str, begin: Any, reports: list[Any]) -> None:
    """A run that a process of its own drives, from its begin to what it reports."""
    run = f"0{number}"
    if isinstance(begin, dict):
        begin["run_id"] = run
    client.check("POST", "/v1/checkpoint", mutations.dumps(begin), {})
    for steps in reports:
        client.check("POST", f"/v1/checkpoint/{run}/steps", mutations.dumps({"run_id": run, "steps": steps}), {})
    client.check("POST", f"/v1/checkpoint/{run}/async", mutations.dumps({"run_id": run, "steps": OPS[:1]}), {})


@fuzz
@given(st.text(max_size=30), st.text(max_size=30))
def test_outputs_want_a_token(client: Client, run: str, token: str) -> None:
    status, _ = client.check("GET", f"/v1/checkpoint/{_segment(run)}/output?token={_segment(token)}", b"", {})
    assert status in {401, 404}


@fuzz
@given(st.sampled_from(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")), st.binary(max_size=20), HEADERS)
def test_any_path(client: Client, method: str, path: bytes, headers: dict[str, str]) -> None:
    client.check(method, "/" + quote(path, safe="/?&="), b"", headers)
