"""`holdfast config`, and flags on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdfast.server.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, **environ: str):
        return CliRunner().invoke(main, arguments, env={"LOG_LEVEL": None, "HOME": str(tmp_path), **environ})

    return invoke


def shown(result) -> dict[str, tuple[object, str]]:
    return {o["name"]: (o["value"], o["source"]) for o in json.loads(result.stdout)["options"]}


def test_values_with_their_origins(run, tmp_path: Path) -> None:
    (tmp_path / "holdfast.yaml").write_text("queue-workers: 5\npersist: true")
    result = run("config", "show", "dev", "--json", "-p", "9", "-u", "a,b", "-u", "c", "--persist=false",
                 INNGEST_HOST="::1")  # fmt: skip
    values = shown(result)
    assert values["port"] == (9, "flag")
    assert values["sdk-url"] == (["a", "b", "c"], "flag")
    assert values["persist"] == (False, "flag")
    assert values["host"] == ("::1", "env")
    assert values["queue-workers"] == (5, "file")
    assert values["poll-interval"] == (5.0, "default")
    assert "signing-key" not in values


def test_secrets_are_masked(run) -> None:
    for form in ((), ("--json",)):
        result = run("config", "show", *form, "--event-key", "topsecret", HOLDFAST_SIGNING_KEY="beefbeef")
        assert result.exit_code == 0
        assert "topsecret" not in result.output
        assert "beefbeef" not in result.output
        assert "********" in result.output


def test_what_is_wrong_is_told_on_stderr_with_code_2(run) -> None:
    result = run("config", "show", HOLDFAST_PORT="x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: HOLDFAST_PORT must be a whole number from 0 to 65535, not 'x'\n"
    assert run("dev", HOLDFAST_PORT="x").exit_code == 2
    assert "Error: `holdfast dev` has no flag --no-ui" in run("config", "show", "dev", "--no-ui").stderr
    secret = run("config", "show", "--signing-key", "\0")
    assert "\0" not in secret.output
    short = run("config", "show", HOLDFAST_ADMIN_PASSWORD="tooshort")
    assert short.stderr == "Error: HOLDFAST_ADMIN_PASSWORD must be a password of 10 to 1,024 characters\n"


def test_the_example_says_what_is_the_default(run, tmp_path: Path) -> None:
    text = run("config", "example").stdout
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    (tmp_path / "all.toml").write_text("\n".join(lines))
    told = shown(run("config", "show", "--json", "--config", "all.toml"))
    default = shown(run("config", "show", "--json"))
    assert len(lines) > 15
    assert {name: value for name, (value, _) in told.items()} == {name: value for name, (value, _) in default.items()}
    assert sum(source == "file" for _, source in told.values()) > 12


def test_help_needs_no_server(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom holdfast.server.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('uvicorn', 'starlette', 'structlog', 'yaml', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_keys_that_start_does_not_do_without_are_named(run) -> None:
    result = run("config", "show")
    assert result.exit_code == 0  # a service manager may have them
    assert result.stdout.count("missing, but required") == 2
    assert run("config", "show", "--signing-key", "abcd").stdout.count("missing, but required") == 1
    assert "missing" not in run("config", "show", "dev").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--signing-key", "zz"), "Error: signing-key must be valid hex string"),
        (("--admin-user", "anna"), "Error: admin-user and admin-password go together"),
        (("--oidc-issuer", "https://x.example"), "Error: oidc-client-id is required with oidc-issuer"),
    ],
)
def test_what_start_would_refuse_is_told_beside_the_values(run, arguments: tuple[str, ...], told: str) -> None:
    result = run("config", "show", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "queue-workers" in result.stdout
    assert run("config", "show", "--signing-key", "00ff").exit_code == 0
