"""`holdfast runs`, `run`, `why`, `events`, `apps`, `tail` against a server that runs, and an app that fails."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.api.serving import Served, command, environment

from holdfast.server.cli import main
from holdfast.server.commands import look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLEAN = {"HOLDFAST_URL": None, "HOLDFAST_API_TOKEN": None, "HOLDFAST_PORT": None, "INNGEST_PORT": None}
ERROR = {"name": "ValueError", "message": "card declined\nsecond line", "stack": "Traceback\n  at line 3"}


class App(BaseHTTPRequestHandler):
    """An app whose function always fails, and never again."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ERROR).encode()
        self.send_response(500)
        for name, value in (("x-inngest-sdk", "py:v1"), ("x-inngest-no-retry", "true"), ("content-length", len(body))):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{app.server_address[1]}/api/inngest"
    with Served(tmp_path_factory.mktemp("look")) as served:
        step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{url}?fnId=shop-pay&stepId=step"}}
        function = {"id": "shop-pay", "name": "pay", "triggers": [{"event": "paid"}], "steps": {"step": step}}
        _post(served, "/fn/register", {"appName": "shop", "url": url, "sdk": "py:v1", "functions": [function]})
        _post(served, "/e/k", [{"name": "paid"}, {"name": "payd"}])
        deadline = time.monotonic() + 20
        while not json.loads(ask(served, "runs", "--status", "FAILED", "--json").stdout):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield served
    app.shutdown()
    app.server_close()


def _post(server: Served, path: str, body: object) -> None:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def ask(server: Served, *arguments: str) -> Result:
    return CliRunner(env=CLEAN).invoke(main, [*arguments, "--url", server.url])


def test_runs_are_a_table(server: Served) -> None:
    found = ask(server, "runs", "--status", "Failed").stdout.splitlines()
    assert found[0].split() == ["QUEUED", "RUN", "FUNCTION", "STATUS", "TOOK"]
    assert "shop-pay  failed" in found[1]
    assert found[1].endswith("ValueError: card declined")
    assert ask(server, "runs", "--status", "cancelled").stdout == "No such runs.\n"


def test_a_wrong_status_names_the_right_ones(server: Served) -> None:
    refused = ask(server, "runs", "--status", "broken")
    assert refused.exit_code == 2
    assert "'queued', 'running', 'completed', 'failed', 'cancelled'" in refused.stderr


def test_a_run_by_the_end_of_its_id_with_its_error_stack_and_attempts(server: Served) -> None:
    (run,) = json.loads(ask(server, "runs", "--json").stdout)
    shown = ask(server, "run", run["id"][-8:].lower()).stdout
    assert f"run {run['id']}  failed" in shown
    assert "Attempt 1  failed" in shown
    assert "error  ValueError: card declined\\nsecond line\n  Traceback\n    at line 3" in shown
    document = json.loads(ask(server, "run", run["id"], "--json").stdout)
    assert document["trace"]["status"] == "FAILED"
    assert ask(server, "run", "nowhere").exit_code == 1


def test_why_tells_the_error_of_a_failed_run_and_what_an_event_came_to(server: Served) -> None:
    (run,) = json.loads(ask(server, "runs", "--json").stdout)
    assert "ValueError: card declined" in ask(server, "why", run["id"][-8:]).stdout
    events = {event["name"]: event for event in json.loads(ask(server, "events", "--json").stdout)}
    assert f"shop-pay was started: run {run['id']}" in ask(server, "why", events["paid"]["internal_id"][-8:]).stdout
    assert "no function listens to payd" in ask(server, "why", events["payd"]["internal_id"]).stdout
    assert ask(server, "why", "nowhere").exit_code == 1


def test_events_are_a_table_with_their_runs(server: Served) -> None:
    (run,) = json.loads(ask(server, "runs", "--json").stdout)
    assert f"paid  {run['id'][-8:]} failed" in ask(server, "events").stdout


def test_apps_are_listed_and_removed(server: Served) -> None:
    wrong = "http://127.0.0.1:9/api/inngest"
    body = {"query": "mutation($u: String!) { createApp(input: {url: $u}) { id } }", "variables": {"u": wrong}}
    _post(server, "/v0/gql", body)
    assert "unreachable" in ask(server, "apps", "list").stdout
    assert ask(server, "apps", "remove", wrong).exit_code == 0
    assert "unreachable" not in ask(server, "apps", "list").stdout
    refused = ask(server, "apps", "remove", wrong)
    assert refused.exit_code == 1
    assert "known: shop" in refused.stderr


@pytest.mark.parametrize("words", [[], ["list"]])
def test_apps_are_listed_without_a_subcommand_too(server: Served, words: list[str]) -> None:
    assert "shop" in ask(server, "apps", *words, "--json").stdout


def test_a_step_is_shown_once_with_its_attempts() -> None:
    attempts = [{"name": "Attempt 0", "status": "FAILED"}, {"name": "Attempt 1", "status": "COMPLETED"}]
    step = {"name": "charge", "stepId": "c1", "status": "COMPLETED"}
    trace = [
        {**step, "children": attempts}, {**step, "status": "FAILED"}, step,
        {"name": "Finalization", "status": "COMPLETED"}, {"name": "executor.nonstep", "status": "COMPLETED"},
    ]  # fmt: skip
    assert [span["name"] for span in look._steps(trace)] == ["charge", "Finalization"]
    assert next(look._steps(trace))["children"] == attempts


def test_tail_follows_until_the_server_ends(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        line = command("tail", "--url", served.url)
        with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment(), text=True) as child:
            seen: list[str] = []
            reader = threading.Thread(target=lambda: seen.extend(child.stdout or ()), daemon=True)
            reader.start()
            deadline = time.monotonic() + 30
            while not seen and time.monotonic() < deadline:
                _post(served, "/e/k", {"name": "hello"})
                reader.join(0.2)
            began = time.monotonic()
            assert served.stop() == 0
            assert time.monotonic() - began < 3
            child.wait(10)
            reader.join(5)
        assert "event        hello" in seen[0]
        assert served.errors() == []


def test_nobody_there(server: Served) -> None:
    refused = CliRunner(env=CLEAN).invoke(main, ["runs", "--url", "http://127.0.0.1:9"])
    assert refused.exit_code == 1
    assert "start one with `holdfast dev`" in refused.stderr
    assert server.errors() == []


def test_an_older_database_beside_an_ephemeral_server_is_named(tmp_path: Path) -> None:
    with Served(tmp_path) as persistent:
        figures = [CliRunner(env=CLEAN).invoke(main, ["db", "stats", *_at(tmp_path, persistent.port)])]
        other = tmp_path / "other"
        other.mkdir()
        with Served(other) as elsewhere:
            persistent.stop()
            for asked in (("db", "stats"), ("export", "runs")):
                found = CliRunner(env=CLEAN).invoke(main, [*asked, *_at(tmp_path, elsewhere.port)])
                figures.append(found)
    assert not any(each.exit_code for each in figures)
    assert ["older database" in each.stderr for each in figures] == [False, True, True]


def _at(folder: Path, port: int) -> list[str]:
    return ["--sqlite-dir", str(folder), "--port", str(port)]
