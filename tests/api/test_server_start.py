"""Starts that must not happen: each ends at once, with exit code 1 and a text that says why."""

from __future__ import annotations

import socket
import sqlite3
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
    assert output.endswith("Error: --redis-uri means nothing here: state is kept in SQLite, in --sqlite-dir\n")


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
