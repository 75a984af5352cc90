"""`holdfast db` and `holdfast export` as one types them: what they print, what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from holdfast.server.cli import main
from holdfast.server.store.sqlite import lock
from holdfast.server.store.sqlite.store import SqliteStore

from .harness import begin, event, run, span


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with a run of two steps, and an event that started nothing."""
    from holdfast.server.engine.changes import Changes
    from holdfast.server.model.app import AppRecord, FunctionRecord

    store = SqliteStore(tmp_path / "main.db")
    app = AppRecord("app", "shop", "http://x", "serve", "py", "1", "", "", "", "", 1, None, False)
    store.save_apps([app], [FunctionRecord("fn", "app", "shop-pay", "pay", 1, b"{}", 1, None)])
    changes = Changes()
    changes.events += [event("e1", "order"), event("e2", "other"), event("e3", "inngest/function.finished")]
    begin(changes, run("r1", ("e1",)))
    changes.steps += [("r1", seq, f"s{seq}", b'{"data":%d}' % seq, span(name=f"step {seq}")) for seq in (1, 2)]
    store.commit(changes)
    store.close()
    return tmp_path


def holdfast(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--sqlite-dir", str(folder)])


def test_the_way_round(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    assert "KiB" in holdfast(folder, "db", "backup", str(target)).output
    assert holdfast(folder, "db", "check", str(target), "--full").output.endswith("no problems found\n")
    done = holdfast(folder, "db", "restore", str(target))
    assert done.exit_code == 0
    assert "is now" in done.output
    assert "→" in holdfast(folder, "db", "compact").output
    assert "is up to date" in holdfast(folder, "db", "migrate").output
    assert holdfast(folder, "db", "check").exit_code == 0


def test_what_a_running_server_forbids(folder: Path, tmp_path: Path) -> None:
    held = lock.hold(folder / "main.db")
    try:
        assert holdfast(folder, "db", "backup", str(tmp_path / "b.db")).exit_code == 0
        assert holdfast(folder, "db", "stats").exit_code == 0
        for words in (("restore", str(tmp_path / "b.db")), ("compact",), ("migrate",)):
            done = holdfast(folder, "db", *words)
            assert done.exit_code == 1
            assert "is in use by another Holdfast" in done.output
    finally:
        held.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("db", "backup", "-"), "a backup needs a file"),
        (("db", "backup", "/no/such/folder/b.db"), "/no/such/folder"),
        (("db", "restore", "/no/such/file"), "there is no file /no/such/file"),
        (("db", "check", "/etc/hostname"), "or is damaged: find a valid backup with `holdfast db check FILE`"),
        (("export", "runs", "--since", "soon"), "--since: 'soon' is neither a time"),
        (("export", "runs", "--postgres-uri", "postgresql://x/y"), "ask a running server for /v1/export/runs"),
        (("export", "runs", "-o", "/no/such/folder/x"), "No such file or directory"),
    ],
)
def test_what_is_refused_is_told(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = holdfast(folder, *words)
    assert done.exit_code in {1, 2}
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("words", [("stats",), ("check",), ("compact",), ("migrate",), ("backup", "b.db")])
def test_a_folder_without_a_database_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = holdfast(tmp_path / "none", "db", *words)
    assert done.exit_code == 1
    assert "there is no database" in done.output


def test_a_broken_database_ends_with_code_1(folder: Path) -> None:
    import sqlite3

    with sqlite3.connect(folder / "main.db") as db:
        db.execute("DELETE FROM jobs")
    db.close()
    done = holdfast(folder, "db", "check")
    assert done.exit_code == 1
    assert "WRONG  a live run has an open job or pause" in done.output
    assert "run r1" in done.output


def test_stats_are_read_by_people_and_programs(folder: Path) -> None:
    text = holdfast(folder, "db", "stats").output
    assert "shop-pay" in text
    assert "scheduled" in text
    told = json.loads(holdfast(folder, "db", "stats", "--json").output)
    assert told["runs"] == {"scheduled": 1}
    assert {table["name"] for table in told["tables"]} > {"runs", "events", "steps"}


def lines(done: Result) -> list[dict[str, object]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def test_runs_are_exported(folder: Path, tmp_path: Path) -> None:
    (found,) = lines(holdfast(folder, "export", "runs", "--with-steps"))
    assert (found["id"], found["function"], found["app"], found["event_ids"]) == ("r1", "shop-pay", "shop", ["e1"])
    assert [(step["name"], step["output"]) for step in found["steps"]] == [  # type: ignore[attr-defined]
        ("step 1", {"data": 1}), ("step 2", {"data": 2}),
    ]  # fmt: skip
    assert lines(holdfast(folder, "export", "runs", "--status", "failed")) == []
    assert lines(holdfast(folder, "export", "runs", "--function", "other")) == []
    assert lines(holdfast(folder, "export", "runs", "--since", "1h")) == []
    assert len(lines(holdfast(folder, "export", "runs", "--until", "1h", "--status", "scheduled"))) == 1
    assert (
        len(lines(holdfast(folder, "export", "runs", "--since", "2023-11-14", "--until", "2023-11-15T00:00:00Z"))) == 1
    )
    target = tmp_path / "x.jsonl"
    assert holdfast(folder, "export", "runs", "-o", str(target)).output == ""
    assert json.loads(target.read_text())["id"] == "r1"
    assert "already exists; choose another name" in holdfast(folder, "export", "runs", "-o", str(target)).output


def test_events_are_exported(folder: Path) -> None:
    assert [line["id"] for line in lines(holdfast(folder, "export", "events"))] == ["e1", "e2"]
    assert [line["id"] for line in lines(holdfast(folder, "export", "events", "--internal"))] == ["e1", "e2", "e3"]
    assert [line["id"] for line in lines(holdfast(folder, "export", "events", "--name", "other"))] == ["e2"]
    assert [line["id"] for line in lines(holdfast(folder, "export", "events", "--function", "shop-pay"))] == ["e1"]
    (internal,) = lines(holdfast(folder, "export", "events", "--name", "inngest/function.finished"))
    assert internal["received_at"] == "2023-11-14T22:13:20.001Z"


def test_pages_of_an_export_join(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.server.store import export

    monkeypatch.setattr(export, "PAGE", 1)
    assert [line["id"] for line in lines(holdfast(folder, "export", "events", "--internal"))] == ["e1", "e2", "e3"]


@pytest.mark.parametrize(
    "words",
    [
        ("db", "stats"), ("db", "check"), ("db", "check", "x.db"), ("db", "restore", "x.db"), ("db", "compact"),
        ("export", "runs"), ("users", "list"),
    ],
)  # fmt: skip
def test_a_folder_of_another_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    exists = Path.exists

    def looked(path: Path, **options: bool) -> bool:
        if path.suffix == ".db":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", looked)
    done = holdfast(tmp_path, *words)
    assert done.exit_code == 1
    assert done.output.startswith("Error: can't ")
    assert "Permission denied" in done.output
    assert done.output.count("\n") == 1
    assert "Errno" not in done.output


def test_what_root_makes_belongs_to_the_owner_of_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, home = tmp_path / "b.db", tmp_path / "home"
    assert holdfast(folder, "db", "backup", str(backup)).exit_code == 0
    home.mkdir()
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    assert holdfast(home, "db", "restore", str(backup)).exit_code == 0
    owner = home.stat()
    assert given == [(owner.st_uid, owner.st_gid)] * 2  # the database and its lock
    assert holdfast(home, "db", "check").exit_code == 0
    assert len(given) == 2  # what is there keeps its owner
