"""Starts that must not happen: each ends at once, with exit code 1 and a text that says why."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from .serving import Served, free_port, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ("--signing-key", "abcd", "--event-key", "e")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "Error: signing-key is required"),
        (("--signing-key", "abc"), "Error: signing-key must be hex string with even number of chars"),
        (("--signing-key", "zz"), "Error: signing-key must be valid hex string: "),
        (("--signing-key", "abcd"), "Error: at least one event-key is required"),
        (("--signing-key", "signkey-prod-abcd", "--event-key", " , "), "Error: at least one event-key is required"),
    ],
)
def test_start_wants_keys(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    code, output = run_to_end("start", "--port", str(free_port()), "--sqlite-dir", str(tmp_path), *options)
    assert code == 1
    assert output.startswith(text), output
    assert "Traceback" not in output


def test_start_does_not_move_to_another_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run_to_end(
            "start", "--host", "127.0.0.1", "--port", str(port), "--sqlite-dir", str(tmp_path), *KEYS
        )
    assert code == 1
    assert output.startswith(f"Error: port {port} is in use")
    assert "--port" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("mode", ["start", "dev"])
@pytest.mark.parametrize("version", [0, 1, 999])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, mode: str, version: int) -> None:
    file = tmp_path / "main.db"
    connection = sqlite3.connect(file)
    connection.executescript(
        f"CREATE TABLE apps (id TEXT, name TEXT); CREATE TABLE migrations (id INT); PRAGMA user_version = {version}"
    )
    connection.close()
    before = file.read_bytes()
    more = KEYS if mode == "start" else ("--persist", "--no-discovery")
    code, output = run_to_end(mode, "--port", str(free_port()), "--sqlite-dir", str(tmp_path), *more)
    assert code == 1
    assert output.startswith("Error: ")
    assert f"the database {file} belongs to another program (its tables: apps, migrations)" in output
    assert "--sqlite-dir" in output
    assert file.read_bytes() == before


@pytest.mark.parametrize("mode", ["start", "dev"])
def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, mode: str) -> None:
    connection = sqlite3.connect(tmp_path / "main.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    more = KEYS if mode == "start" else ("--persist", "--no-discovery")
    code, output = run_to_end(mode, "--port", str(free_port()), "--sqlite-dir", str(tmp_path), *more)
    assert code == 1
    assert output.startswith("Error: ")
    assert "schema version 999" in output
    assert "newer Holdfast" in output
    assert "Traceback" not in output


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.db").write_bytes(b"this is no database" * 100)
    code, output = run_to_end("start", "--port", str(free_port()), "--sqlite-dir", str(tmp_path), *KEYS)
    assert code == 1
    assert "main.db" in output
    assert "Traceback" not in output


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "data"
    code, output = run_to_end("start", "--port", str(free_port()), "--sqlite-dir", str(folder), *KEYS)
    assert code == 1
    assert str(folder) in output
    assert "Traceback" not in output


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, output = run_to_end("start", "--port", str(free_port()), "--sqlite-dir", str(tmp_path / "file"), *KEYS)
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith(f"Error: can't use the database {tmp_path}/file/main.db: its folder is a file")
    assert "Errno" not in output


@pytest.mark.parametrize("half", [("--admin-user", "anna"), ("--admin-password", "correct horse battery")])
def test_half_of_a_first_admin_is_refused(tmp_path: Path, half: tuple[str, ...]) -> None:
    code, output = run_to_end("start", "--port", str(free_port()), "--sqlite-dir", str(tmp_path), *KEYS, *half)
    assert (code, output) == (1, "Error: admin-user and admin-password go together: set both, or none\n")
    assert not (tmp_path / "main.db").exists()


@pytest.mark.parametrize("mode", ["start", "dev"])
@pytest.mark.parametrize("given", [("--redis-uri", "redis://x"), ("--redis-uri=redis://x",)])
def test_an_option_that_means_nothing_here_is_told(mode: str, given: tuple[str, ...]) -> None:
    code, output = run_to_end(mode, *given)
    assert code == 2
    why = "state is kept in SQLite, in --sqlite-dir, or in PostgreSQL (--postgres-uri)"
    assert output.endswith(f"Error: --redis-uri has no effect here: {why}\n")


def test_the_banner_names_one_address_for_all(tmp_path: Path) -> None:
    with Served(tmp_path, "--json=false", "--log-format", "text") as served:
        banner = served.log.read_text()
        assert f"POST {served.url}/e/any-key" in banner
        assert "localhost" not in banner


def test_answers_to_senders_end_a_line(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        for body, status in ((b'{"name": "a"}', 200), (b"{}", 400), (b"nonsense", 400)):
            answer = httpx.post(f"{served.url}/e/any-key", content=body)
            assert answer.status_code == status
            assert answer.content.endswith(b"}\n")
            assert answer.json()["status"] == status


def test_a_start_without_keys_on_this_machine_makes_a_pair_once(tmp_path: Path) -> None:
    served = Served(tmp_path, mode="start")
    served.start()
    keys = dict(line.split("=") for line in (tmp_path / "keys.env").read_text().splitlines())
    assert (tmp_path / "keys.env").stat().st_mode & 0o777 == 0o600
    headers = {"authorization": f"Bearer {keys['INNGEST_SIGNING_KEY']}"}
    assert httpx.get(f"{served.url}/v1/events", headers=headers).status_code == 200
    assert httpx.get(f"{served.url}/v1/events").status_code == 401
    assert httpx.post(f"{served.url}/e/{keys['INNGEST_EVENT_KEY']}", json={"name": "a"}).status_code == 200
    assert httpx.post(f"{served.url}/e/other", json={"name": "a"}).status_code == 401
    served.stop()
    told = served.log.read_text()
    assert f"INNGEST_SIGNING_KEY={keys['INNGEST_SIGNING_KEY']}" in told
    assert f"INNGEST_BASE_URL=http://localhost:{served.port}" in told
    served.start()
    served.stop()
    assert served.log.read_text().count("INNGEST_BASE_URL") == 1
    assert keys == dict(line.split("=") for line in (tmp_path / "keys.env").read_text().splitlines())


def test_the_first_user_of_a_start_without_keys(tmp_path: Path) -> None:
    """The command that the log names works as it stands: the key is in the server's folder."""
    with Served(tmp_path, mode="start") as served:
        folder, port = str(tmp_path), str(served.port)
        code, output = run_to_end(
            "users", "add", "ada", "--role", "admin", "--generate", "--sqlite-dir", folder, "--port", port, timeout=60
        )
    assert code == 0, output
    assert "ada was added, with the role admin." in output


def test_keys_that_are_no_hex_are_taken_on_this_machine_with_a_warning(tmp_path: Path) -> None:
    keys = ("--event-key", "local-prod-key", "--signing-key", "local-prod-signing")
    with Served(tmp_path, *keys, mode="start") as served:
        bearer = "d7c974410210234b989a07fa143d141434c0ad6f92b894f9b5feb3548940d522"  # as the TypeScript SDK sends it
        headers = {"authorization": f"Bearer {bearer}"}
        assert httpx.get(f"{served.url}/v1/events", headers=headers).status_code == 200
    assert served.log.read_text().count("the signing key is not hex") == 1
    code, output = run_to_end("start", "--host", "0.0.0.0", "--sqlite-dir", str(tmp_path), *keys, timeout=30)
    assert code == 1
    assert "openssl rand -hex 32" in output


@pytest.mark.parametrize("mode", ["start", "dev"])
def test_an_idle_server_ends_at_once(tmp_path: Path, mode: str) -> None:
    served = Served(tmp_path, *(KEYS if mode == "start" else ()), mode=mode)
    with served, httpx.Client(base_url=served.url) as client:  # which keeps its connection
        client.get("/health")
        began = time.monotonic()
        assert served.stop() == 0
        took = time.monotonic() - began
    assert took < 0.5 + 3 * max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)
