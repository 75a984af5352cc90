"""Who else is on the machine: files are for their owner, and what others sent can't steer a terminal."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from holdfast.server.config import Config
from holdfast.server.store.sqlite import backup, lock
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.terminal import plain, plain_lines

from .serving import environment

HOSTILE = "a\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202eb"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_database_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "state" / "main.db"
    held = lock.hold(path, make=True)
    store = SqliteStore(path)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["main.db", "main.db-shm", "main.db-wal", "main.db.lock"]
    assert [mode(file) for file in files] == [0o600] * 4
    assert mode(path.parent) == 0o700
    store.close()
    held.close()
    backup.compact(path)
    assert mode(path) == 0o600


def test_a_folder_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    SqliteStore(tmp_path / "main.db").close()
    assert mode(tmp_path) == 0o750


def test_copies_are_their_owners(tmp_path: Path) -> None:
    path, copy = tmp_path / "main.db", tmp_path / "copy.db"
    SqliteStore(path).close()
    backup.back_up(path, copy, lambda *_: None)
    assert mode(copy) == 0o600
    copy.chmod(0o644)  # carried about
    restored = tmp_path / "elsewhere" / "main.db"
    backup.restore(copy, restored, lambda *_: None)
    assert (mode(restored), mode(restored.parent)) == (0o600, 0o700)


def test_exports_are_their_owners(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "main.db").close()
    target = tmp_path / "runs.jsonl"
    words = ["export", "runs", "--sqlite-dir", str(tmp_path), "-o", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.server.cli", *words], check=False, capture_output=True, timeout=60, text=True,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert mode(target) == 0o600


# --- terminals --------------------------------------------------------------------------------------------------------


def test_texts_of_others_are_plain() -> None:
    assert plain(HOSTILE) == r"a\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202eb"
    assert plain("Grüße, 世界 🚀") == "Grüße, 世界 🚀"
    assert plain_lines("a\x1b\nb\tc") == "a\\x1b\nb    c"


def test_a_log_on_a_terminal_can_not_be_steered(
    capsys: pytest.CaptureFixture[str], set_up_logs: Callable[[Config], None]
) -> None:
    set_up_logs(Config(log_format="text"))
    structlog.get_logger("x").warning("a webhook made no event", error=HOSTILE)
    logging.getLogger("library").warning("bad request: %s", HOSTILE)
    told = capsys.readouterr().err
    assert told.count(r"\x1b[2J") == 2
    assert not set(told) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}


def test_tables_of_the_command_line_can_not_be_steered(tmp_path: Path) -> None:
    """The name with which a stranger tried to log in is in the audit log."""
    SqliteStore(tmp_path / "main.db").close()

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.server.cli", *words, "--sqlite-dir", str(tmp_path)], check=False,
            capture_output=True, timeout=60, text=True, env=environment(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("tokens", "create", "a\x1b[2Jb\x07", "--role", "viewer")
    for words in (("tokens", "list"), ("audit",)):
        told = run(*words)
        assert r"a\x1b[2Jb\x07" in told
        assert "\x1b" not in told
