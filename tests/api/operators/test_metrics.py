"""`/metrics`: counts that are right, in the format that Prometheus reads, and bounded."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.serving import Served

from holdfast.server.engine.census import Census
from holdfast.server.runtime.tally import BOUNDS, Times

ROOT = Path(__file__).parent.parent.parent.parent
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(server: Served, path: str = "/metrics") -> Samples:
    status, body = server.request("GET", path)
    assert status == 200
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[int, object]]:
    """What the app answers, by function."""
    nap = {"op": "Sleep", "id": "a" * 40, "name": "nap", "displayName": "nap", "opts": {"duration": "1h"}}
    wait = {"op": "WaitForEvent", "id": "b" * 40, "name": "w", "displayName": "w",
            "opts": {"event": "never", "timeout": "1h"}}  # fmt: skip
    failure = {"name": "Error", "message": "no", "stack": ""}
    return {"fine": (200, "ok"), "nap": (206, [nap]), "wait": (206, [wait]), "bad": (400, failure)}


@pytest.fixture(scope="module")
def app(answers: dict[str, tuple[int, object]]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            name = self.path.partition("fnId=app-")[2].partition("&")[0]
            status, body = answers[name]
            data = json.dumps(body).encode()
            self.send_response(status)
            if status == 400:
                self.send_header("x-inngest-no-retry", "true")
            self.send_header("x-inngest-sdk", "inngest-py:v0.5.19")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http.server_port
    http.shutdown()
    http.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, app: int, answers: dict[str, object]) -> Iterator[Served]:
    url = f"http://127.0.0.1:{app}/api/inngest"
    functions = [
        {"id": f"app-{name}", "name": name, "triggers": [{"event": f"go/{name}"}],
         "steps": {"step": {"id": "step", "name": "step", "retries": {"attempts": 0},
                            "runtime": {"type": "http", "url": f"{url}?fnId=app-{name}&stepId=step"}}}}
        for name in answers
    ]  # fmt: skip
    request = {"url": url, "deployType": "ping", "appName": "app", "sdk": "inngest-py:v0.5.19", "v": "0.1",
               "framework": "raw", "functions": functions}  # fmt: skip
    with Served(tmp_path_factory.mktemp("metrics"), "--function-metrics", "--log-level", "debug") as made:
        status, body = made.request("POST", "/fn/register", json.dumps(request).encode())
        assert status == 200, body
        for name, times in (("fine", 3), ("nap", 2), ("wait", 1), ("bad", 1)):
            for _ in range(times):
                made.send(f"go/{name}", {})
        deadline = time.monotonic() + 10
        while sum(value(scrape(made), "holdfast_calls_total", status=s) for s in ("success", "failed")) < 7:
            assert time.monotonic() < deadline, made.tail()
            time.sleep(0.02)
        yield made


def test_what_is_alive(server: Served) -> None:
    seen = scrape(server)
    assert value(seen, "inngest_queue_depth") == 2
    assert value(seen, "holdfast_jobs", state="scheduled") == 2
    assert value(seen, "holdfast_jobs", state="ready") == 0
    assert value(seen, "holdfast_waits", kind="event") == 1
    assert value(seen, "holdfast_runs", status="running") == 3
    assert value(seen, "holdfast_timers") == 3
    assert value(seen, "holdfast_queue_lag_seconds") == 0
    assert value(seen, "holdfast_calls_in_flight") == 0
    assert value(seen, "holdfast_workers") == 100
    assert value(seen, "holdfast_apps", state="ok") == 1
    assert value(seen, "holdfast_ready") == 1


def test_what_happened(server: Served) -> None:
    seen = scrape(server)
    assert value(seen, "holdfast_runs_scheduled_total") == 7
    assert value(seen, "holdfast_runs_ended_total", status="completed") == 3
    assert value(seen, "holdfast_runs_ended_total", status="failed") == 1
    assert value(seen, "holdfast_calls_total", status="success") == 6
    assert value(seen, "holdfast_calls_total", status="failed") == 1
    assert value(seen, "holdfast_calls_total", status="errored") == 0
    assert value(seen, "holdfast_events_received_total") == server.query("SELECT count(*) FROM events")[0][0]
    assert value(seen, "holdfast_reloads_total") == 0


def test_the_store(server: Served) -> None:
    seen = scrape(server)
    count = value(seen, "holdfast_commit_seconds_count")
    assert count == value(seen, "holdfast_commit_seconds_bucket", le="+Inf")
    assert count == value(seen, "holdfast_turn_seconds_count") >= 7
    assert 0 < value(seen, "holdfast_commit_seconds_sum") <= value(seen, "holdfast_turn_seconds_sum")
    wal = server.database.with_name("main.db-wal").stat().st_size
    assert value(seen, "holdfast_store_bytes") == server.database.stat().st_size + wal
    assert value(seen, "holdfast_wal_pages") == wal // 4096
    assert value(seen, "holdfast_disk_free_bytes") > 0
    assert value(seen, "process_resident_memory_bytes") > 1e7


def test_by_function_as_the_reference_counts(server: Served) -> None:
    seen = scrape(server)
    assert value(seen, "inngest_function_run_scheduled_total", fn="app-fine") == 3
    assert value(seen, "inngest_function_run_started_total", fn="app-nap") == 2
    assert value(seen, "inngest_function_run_ended_total", fn="app-fine", status="completed") == 3
    assert value(seen, "inngest_function_run_ended_total", fn="app-bad", status="failed") == 1
    assert value(seen, "inngest_sdk_req_started_total", fn="app-wait") == 1
    assert value(seen, "inngest_sdk_req_scheduled_total", fn="app-wait") == 1
    assert value(seen, "inngest_sdk_req_ended_total", fn="app-bad", status="failed") == 1
    assert value(seen, "inngest_sdk_req_ended_total", fn="app-fine", status="success") == 3


def test_the_second_name_says_the_same(server: Served) -> None:
    assert scrape(server, "/v1/prom/production").keys() == scrape(server).keys()
    assert server.request("POST", "/metrics", b"")[0] == 405


def test_debug_logs_tell_each_call_with_run_function_and_step(server: Served) -> None:
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert all({"time", "level", "msg"} <= line.keys() for line in lines)
    run = server.query("SELECT r.id FROM runs r JOIN functions f ON f.id = r.function_id WHERE f.slug = 'app-bad'")[0][
        0
    ]
    about = [line for line in lines if line.get("run") == run]
    assert [line["msg"] for line in about] == ["call", "answer", "run ended"]
    assert {line["function"] for line in about} == {"app-bad"}
    assert (about[1]["status"], about[2]["status"]) == (400, "failed")


@pytest.mark.parametrize("page", ["docs/how-to/monitor.md", "deploy/grafana.json"])
def test_what_manual_and_dashboard_name_exists(server: Served, page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"\b(?:holdfast|process|inngest_[a-z]+)_[a-z_]*[a-z]\b(?=[`{\[ =)|]|$)", text))
    known = {name for name, _ in scrape(server)}
    histograms = {name.removesuffix("_bucket") for name in known if name.endswith("_bucket")}
    assert len(named) > 15
    assert named - known - histograms == set()


def test_the_manual_names_everything(server: Served) -> None:
    text = (ROOT / "docs/how-to/monitor.md").read_text()
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in scrape(server) if name[:8] != "process_"}
    assert {name for name in stems if f"`{name}`" not in text and not name.endswith("_created")} == set()


def test_functions_are_not_counted_unasked(tmp_path: Path) -> None:
    with Served(tmp_path) as made:
        assert not [name for name, _ in scrape(made) if name.startswith(("inngest_function", "inngest_sdk"))]
        assert '"msg": "call"' not in made.log.read_text()


def test_buckets() -> None:
    times = Times()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, 1e9):
        times.add(seconds)
    assert times.counts[:2] == [2, 1]
    assert times.counts[-1] == 1
    assert sum(times.counts) == 4


def test_nobody_waits_if_nobody_is_there() -> None:
    census = Census(5)
    assert (census.oldest, sum(census.jobs.values())) == (5, 0)
