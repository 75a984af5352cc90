"""`holdfast worker`: what a target names, and processes that are kept alive and drained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from holdfast.server.cli import main
from holdfast.server.commands.worker import apps_of
from holdfast.testing.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 60.0
APP = """
import os
from holdfast import Client, Context, TriggerEvent
client = Client(app_id="shop", is_production=False)
other = Client(app_id="bar", is_production=False)
text = "x"

def function(name, of=client):
    @of.create_function(fn_id=name, trigger=TriggerEvent(event=name))
    async def called(ctx: Context) -> int:
        return os.getpid()
    return called

one = function("one")
again = one
more = [function("two"), 5]
apps = [(client, [one]), (other, [function("three", other)])]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "worker_app.py").write_text(APP)
    (tmp_path / "broken_app.py").write_text("import worker_app_that_is_missing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("worker_app", None)


@pytest.mark.usefixtures("folder")
def test_a_target_names_a_client_or_apps() -> None:
    for target in ("worker_app", "worker_app:client"):
        ((client, functions),) = apps_of(target)
        assert (client.app_id, [each.local_id for each in functions]) == ("shop", ["one", "two"])
    assert [client.app_id for client, _ in apps_of("worker_app:apps")] == ["shop", "bar"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nothing:client", "there is no module nothing"),
        ("worker_app:nothing", "worker_app has no 'nothing'"),
        ("worker_app:text", "is a str"),
        ("worker_app:other", "has no functions of the client worker_app:other"),
    ],
)
def test_a_target_that_cannot_be_run_is_explained(target: str, text: str) -> None:
    for options in ([], ["--processes", "2"]):
        result = CliRunner().invoke(main, ["worker", target, *options])
        assert result.exit_code == 2
        assert text in result.output


@pytest.mark.usefixtures("folder")
def test_a_module_that_misses_another_fails_with_its_own_error() -> None:
    result = CliRunner().invoke(main, ["worker", "broken_app"])
    assert isinstance(result.exception, ModuleNotFoundError)
    assert result.exception.name == "worker_app_that_is_missing"


@pytest.mark.timeout(180)
def test_processes_are_started_again_and_drained(folder: Path) -> None:
    """Real processes, which take a second or two to start."""
    with LocalServer() as server:
        env = {**os.environ, "INNGEST_BASE_URL": server.url, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-m", "holdfast", "worker", "worker_app", "--processes", "2", "--instance-id", "box"]
        with (folder / "log").open("wb") as log:
            crew = subprocess.Popen(command, env=env, stderr=log)
        try:
            first = _until(lambda: _instances(server, 2))
            assert {conn["instance_id"] for conn in first} == {"box-1", "box-2"}
            os.kill(_member(crew.pid, "box-1"), signal.SIGKILL)
            _until(lambda: {each["id"] for each in _instances(server, 2)} - {each["id"] for each in first})
            crew.terminate()
            assert crew.wait(WAIT_S) == 0
            assert not _instances(server, 0)
        finally:
            crew.kill()
            crew.wait()
        assert "box-1 ended with code -9, starting it again" in (folder / "log").read_text()


def _instances(server: LocalServer, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"{server.url}/v0/connect/envs/dev/conns").json()["data"]
    return found if len(found) == count or not count else []


def _member(parent: int, name: str) -> int:
    """Return the id of the process of this name among a process's children."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if name in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            return int(child)
    raise AssertionError(name)


def _until(what: Callable[[], list[dict[str, str]] | set[str]]) -> list[dict[str, str]]:
    deadline = time.monotonic() + WAIT_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return list(found)  # type: ignore[arg-type]
