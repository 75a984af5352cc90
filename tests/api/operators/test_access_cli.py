"""`holdfast users`, `tokens`, `keys`, `audit`: over the database without a server, over HTTP beside one."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.access_rig import EVENT_KEY, KEY
from tests.api.serving import Served, environment, free_port

PASSWORD = "correct horse battery"


def run(folder: Path, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "holdfast.server.cli", *words, "--sqlite-dir", str(folder)]
    done = subprocess.run(
        command, check=False, capture_output=True, timeout=60, text=True, input=stdin, cwd=folder,
        env=environment() | (env or {}),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(
        tmp_path, "--signing-key", KEY, "--event-key", EVENT_KEY, "--connect-gateway-port", str(free_port()),
        mode="start",
    )  # fmt: skip
    yield server
    if server.child is not None:
        server.stop()


def test_the_first_user(served: Served, tmp_path: Path) -> None:
    """Beside the server with the signing key; without it over the database, by whoever may open that."""
    served.start()
    assert "holdfast users add NAME --role admin" in served.tail()
    add = ("users", "add", "anna", "--role", "admin", "--password-stdin", "--port", str(served.port))
    code, _, error = run(tmp_path, *add, stdin=PASSWORD)
    assert code == 1
    assert "give an admin's API token" in error
    code, out, error = run(tmp_path, *add, stdin=PASSWORD, env={"INNGEST_SIGNING_KEY": KEY})
    assert (code, out) == (0, "anna was added, with the role admin.\n"), error
    form = f"name=anna&password={PASSWORD}".encode()
    assert served.request("POST", "/login", form, {"accept": "text/html"})[0] in {200, 303}
    served.stop()
    code, out, error = run(tmp_path, "users", "list")
    assert code == 0, error
    assert "anna" in out
    code, out, error = run(tmp_path, "users", "add", "bob", "--role", "viewer", "--generate")
    assert (code, out.splitlines()[0]) == (0, "bob was added, with the role viewer."), error
    password = out.split("Password: ")[1].strip()
    served.start()
    headers = {"content-type": "application/json"}
    body = f'{{"name": "bob", "password": "{password}"}}'.encode()
    assert served.request("POST", "/login", body, headers)[0] == 200
    code, out, _ = run(tmp_path, "audit", "--url", served.url, "--token", KEY)
    assert [line.split()[2:4] for line in out.splitlines()[1:]][:2] == [
        ["user:bob", "login"],
        ["command-line", "user.added"],
    ]
    assert served.errors() == []


def test_tokens_and_keys(served: Served, tmp_path: Path) -> None:
    served.start()
    at = ("--url", served.url)
    token = run(tmp_path, "tokens", "create", "ci", "--role", "admin", *at, env={"HOLDFAST_SIGNING_KEY": KEY})[
        1
    ].strip()
    env = {"HOLDFAST_API_TOKEN": token}
    assert token.startswith("hf_")
    code, key, error = run(tmp_path, "keys", "event", "create", "mailer", *at, env=env)
    assert code == 0, error
    assert served.request("POST", f"/e/{key.strip()}", b'{"name": "a/b"}')[0] == 200
    code, new, error = run(tmp_path, "keys", "signing", "rotate", *at, env=env)
    assert code == 0, error
    assert "holdfast keys signing retire" in error
    assert run(tmp_path, "keys", "signing", "retire", *at, env=env)[0] == 0
    for opener, status in ((KEY, 401), (new.strip(), 200)):
        assert served.request("GET", "/v1/events", headers={"authorization": f"Bearer {opener}"})[0] == status
    assert run(tmp_path, "tokens", "revoke", "ci", *at, env=env)[0] == 0
    assert run(tmp_path, "tokens", "list", *at, env=env)[0] == 1
    log = served.log.read_text()
    assert [secret for secret in (token, key.strip(), new.strip()) if secret in log] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("users", "list"), "there is no database"),
        (("users", "list", "--postgres-uri", "postgresql://x/y", "--port", "9"), "no server at http://localhost:9"),
        (("users", "list", "--url", "http://far.example", "--token", "x"), "keys are not sent over plain HTTP"),
        (("users", "list", "--url", "http://127.0.0.1:9"), "no server at http://127.0.0.1:9"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    code, _, error = run(tmp_path, *words)
    assert (code, "Traceback" in error) == (1, False)
    assert why in error
    assert not (tmp_path / "main.db").exists()


def test_a_password_is_not_waited_for_where_nobody_types(tmp_path: Path) -> None:
    code, _, error = run(tmp_path, "users", "add", "x", "--role", "admin")
    assert code == 1
    assert "--password-stdin or --generate" in error


@pytest.mark.parametrize(("more", "secure"), [((), True), (("--trusted-proxies", "10.0.0.1"), False)])
def test_a_trusted_proxy_tells_of_https(
    tmp_path: Path, request: pytest.FixtureRequest, more: tuple[str, ...], secure: bool
) -> None:
    """Proxies on this machine are trusted unless others are named."""
    with Served(
        tmp_path, "--signing-key", KEY, "--event-key", EVENT_KEY, "--connect-gateway-port", str(free_port()),
        "--admin-user", "anna", "--admin-password", PASSWORD, *more, mode="start",
    ) as served:  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        request.addfinalizer(connection.close)
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "Content-Type": "application/json"}
        connection.request("POST", "/login", f'{{"name": "anna", "password": "{PASSWORD}"}}', headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        assert ("; Secure" in (answer.getheader("set-cookie") or "")) is secure
        _, out, _ = run(tmp_path, "audit", "--url", served.url, "--token", KEY)
        assert ("203.0.113.9" in out) is secure


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--oidc-issuer", "http://x"), "oidc-client-id is required"),
        (("--oidc-issuer", "http://x", "--oidc-client-id", "x"), "oidc-issuer needs oidc-role"),
        (("--oidc-role", "root=x"), "viewer=…, operator=… or admin=…"),
        (("--signing-key-fallback", "zz"), "must be hex"),
        (("--oidc-default-role", "root"), "one of viewer, operator, admin"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(tmp_path: Path, more: tuple[str, ...], why: str) -> None:
    code, _, error = run(tmp_path, "start", "--signing-key", KEY, "--event-key", EVENT_KEY, *more)
    assert code in {1, 2}
    assert why in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("users", "list", "--url", "localhost:8288"), "'localhost:8288' must be an HTTP URL"),
        (("users", "add", "anna", "--role", "admin", "--generate", "--password-stdin"), "can't be combined"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    code, out, error = run(tmp_path, *words)
    assert (code, out) == (2, "")
    assert told in error.splitlines()[-1]
