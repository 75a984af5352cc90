"""`holdfast api`: each command asks what its operation takes, and tells what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.api.serving import Served

from holdfast.server.api.rest.v2.catalogue import OPERATIONS
from holdfast.server.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
CLEAN = {
    name: None for tail in ("API_HOST", "API_PORT", "API_KEY", "SIGNING_KEY", "ENV")
    for name in (f"HOLDFAST_{tail}", f"INNGEST_{tail}")
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("cli")) as served:
        yield served


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner(env=CLEAN).invoke(main, ["api", *arguments], input=given)


def ask(server: Served, *arguments: str, given: str | None = None) -> Any:
    found = run("--api-port", str(server.port), *arguments, given=given)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def refused(server: Served, *arguments: str, code: int = 1) -> str:
    found = run("--api-host", server.url, *arguments)
    assert found.exit_code == code, found.output
    assert not found.stdout
    return found.stderr


def test_every_offered_operation_has_a_command() -> None:
    names = [operation.command for operation in OPERATIONS if operation.command]
    assert len(names) == len(set(names))
    text = run("--help").output
    assert all(f"\n  {name} " in text for name in names)
    for name in names:
        assert run(name, "--help").exit_code == 0


def test_reading(server: Served) -> None:
    assert ask(server, "health")["data"] == {"status": "ok"}
    found = run("--api-port", str(server.port), "--raw", "health").stdout
    assert found.startswith('{"data":{"status":"ok"}')
    filters = ("--limit", "1", "--status", "FAILED", "--status", "QUEUED", "--no-include-output")
    assert ask(server, "get-function-runs", *filters)["page"] == {"limit": 1}


def test_bodies(server: Served, tmp_path: Path) -> None:
    assert ask(server, "send-event", "--name", "a", "--data", '{"n": 1}', "--id", "i")["data"]["eventId"]
    assert ask(server, "send-event", "--body", '{"name": "b"}')["data"]["eventId"]
    assert ask(server, "send-event", "--body-file", "-", given='{"name": "c"}')["data"]["eventId"]
    file = tmp_path / "event.json"
    file.write_text('{"name": "d"}')
    assert ask(server, "send-event", "--body-file", str(file))["data"]["eventId"]
    stored = {name for (name,) in server.query("SELECT name FROM events")}
    assert stored >= {"a", "b", "c", "d"}


def test_webhooks(server: Served) -> None:
    made = ask(server, "create-webhook", "--name", "h", "--transform", "body", "--event-filter",
               '{"events": ["a"], "filter": "DENY"}')["data"]  # fmt: skip
    assert made["eventFilter"] == {"events": ["a"], "filter": "DENY"}
    assert ask(server, "get-webhook", made["id"])["data"] == made
    assert ask(server, "delete-webhook", "--webhook-id", made["id"])["data"] == {"id": made["id"]}


def test_what_goes_wrong(server: Served) -> None:
    assert "404: " in refused(server, "get-app", "none")
    assert "404: " in refused(server, "get-app", "with/slash")
    assert "Missing runId" in refused(server, "cancel-run", code=2)
    assert "is not JSON" in refused(server, "send-event", "--name", "a", "--data", "{", code=2)
    assert "Give the body only once" in refused(server, "send-event", "--name", "a", "--body", "{}", code=2)
    assert "can't read the body" in refused(server, "send-event", "--body-file", "/no/such/file")
    assert "No such command" in refused(server, "fly", code=2)
    assert "404: " in refused(server, "create-score", NOBODY, "--body", '[{"name": "a", "value": 1}]')
    assert "no answer from" in run("--api-port", "1", "health").stderr
    assert refused(server, "send-event") == "Error: 400: Event name is required\n"
    assert '"errors"' in refused(server, "--raw", "send-event")


def test_the_key_can_come_from_the_file_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    monkeypatch.setenv("HOLDFAST_SIGNING_KEY_FILE", str(key))
    assert "can't read" in run("--api-port", "1", "health").stderr
    key.write_text("abcd\n")
    told = run("--api-host", "http://example.com", "health").stderr
    assert "keys are not sent" in told


@pytest.mark.parametrize(("host", "key"), [("--api-host", "--api-key"), ("--url", "--token")])
def test_keys_stay_at_home(host: str, key: str) -> None:
    found = run(host, "http://example.com", key, "secret", "health")
    assert found.exit_code == 1
    assert "not sent over plain HTTP" in found.stderr
    assert "secret" not in found.output
