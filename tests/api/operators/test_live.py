"""`/v0/live`: what changed, pushed to pages that follow it."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.serving import Served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("live")) as served:
        register(served)
        yield served


def register(server: Served) -> None:
    """An app that nobody serves: its runs wait for their second attempt."""
    url = "http://127.0.0.1:9/api"
    steps = {"step": {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{url}?fnId=a-f&stepId=step"}}}
    function = {"id": "a-f", "name": "F", "triggers": [{"event": "go"}], "steps": steps}
    app = {"appname": "a", "url": url, "deployType": "ping", "sdk": "py:v1", "v": "0.1", "framework": "x"}
    post(server, "/fn/register", {**app, "functions": [function]})


def post(server: Served, path: str, body: object) -> Any:
    request = urllib.request.Request(
        f"{server.url}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@contextlib.contextmanager
def page(server: Served, *topics: str) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{server.port}/v0/live") as connection:
        connection.send(json.dumps({"follow": topics}))
        connection.ping().wait(5)  # what was sent before is taken
        yield connection


def retries(push: dict[str, Any]) -> bool:
    return any(run.get("doing", {}).get("kind") == "retry" for run in push.get("runs", ()))


def is_of_events(push: dict[str, Any]) -> bool:
    return bool(push["topic"] == "events")


def until(connection: ClientConnection, wanted: Any) -> dict[str, Any]:
    """The first push that is wanted."""
    while True:
        push = json.loads(connection.recv(timeout=10))
        if wanted(push):
            return dict(push)


def test_an_events_run_is_pushed_with_what_it_does(server: Served) -> None:
    with page(server, "runs", "events") as connection:
        sent = post(server, "/e/x", {"name": "go", "data": {}})["ids"][0]
        seen: list[dict[str, Any]] = []  # the run's news may come before the event's
        while not (any(map(is_of_events, seen)) and any(map(retries, seen))):
            seen.append(json.loads(connection.recv(timeout=10)))
        (arrived,) = filter(is_of_events, seen)
        assert {"id": sent, "name": "go"}.items() <= arrived["events"][0].items()
        run = next(filter(retries, seen))["runs"][0]
        assert run["status"] == "RUNNING"
        assert run["event"] == "go"
        assert run["doing"]["attempt"] == 2


def test_a_page_of_one_run_is_told_of_that_run_alone(server: Served) -> None:
    with page(server, "runs") as connection:
        post(server, "/e/x", {"name": "go", "data": {}})
        run_id = until(connection, lambda push: push.get("runs"))["runs"][0]["id"]
        connection.send(json.dumps({"follow": [f"run:{run_id}"]}))
        connection.ping().wait(5)
        post(server, "/v2/runs/" + run_id + "/cancel", {})
        assert until(connection, lambda push: push["topic"] != "runs") == {"topic": f"run:{run_id}"}


def test_a_sync_is_told(server: Served) -> None:
    with page(server, "apps") as connection:
        urllib.request.urlopen(
            urllib.request.Request(f"{server.url}/fn/remove?url=http://127.0.0.1:9/api", method="DELETE")
        )
        assert until(connection, lambda push: push["topic"] == "apps")
    register(server)


def test_much_at_once_is_folded_and_counted(server: Served) -> None:
    with page(server, "events") as connection:
        for _ in range(3):
            post(server, "/e/x", [{"name": "many", "data": {}} for _ in range(900)])
        seen = more = 0
        while seen + more < 2_700:
            push = json.loads(connection.recv(timeout=10))
            assert len(push["events"]) <= 100
            seen += len(push["events"])
            more += push.get("more", 0)
        assert seen + more == 2_700
        assert more


@pytest.mark.parametrize(
    "text", ["", "[]", '{"follow": 1}', '{"follow": ["' + "x" * 100 + '"]}', json.dumps({"follow": ["a"] * 50})]
)
def test_a_page_that_makes_no_sense_is_told_so(server: Served, text: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/v0/live") as connection:
        connection.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason


def test_pages_of_other_sites_are_refused(server: Served) -> None:
    origin = Origin("https://elsewhere.example")
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{server.port}/v0/live", origin=origin):
        pass
