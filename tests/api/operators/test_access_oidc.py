"""Logging in with an identity provider: a small one of our own, over real sockets, which can also misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.api.access_rig import KEY, Rig, bearer
from tests.api.client import Response

from holdfast.server.access.oidc import Oidc
from holdfast.server.access.options import OidcOptions
from holdfast.server.access.principals import Role
from holdfast.server.access.users import UserError

CLIENT, SECRET = "holdfast", "client-secret"


class Provider:
    """Who it vouches for, and what it changes of what it says (`spoil`)."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.claims: dict[str, Any] = {"sub": "u1", "email": "anna@example.com", "groups": ["ops", "all"]}
        self.user_info: dict[str, Any] = {}
        self.spoil: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.challenge = self.nonce = ""
        self.basic, self.secret = f"{CLIENT}:{SECRET}", ""
        self.more: dict[str, Any] = {}
        self.drops = ""  # path at which it hangs up
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def parse_request(self) -> bool:
                if not super().parse_request():
                    return False
                if self.path != provider.drops:
                    return True
                self.close_connection = True
                return False

            def do_GET(self) -> None:
                found: Any = {
                    "/.well-known/openid-configuration": provider.about, "/keys": provider.keys,
                    "/userinfo": lambda: provider.user_info,
                }[self.path]  # fmt: skip
                self._answer(200, found())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._answer(*provider.token(dict(parse_qsl(body)), self.headers.get("authorization", "")))

            def _answer(self, status: int, body: Any) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def about(self) -> dict[str, Any]:
        paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
        found = {name: f"{self.url}/{path}" for name, path in paths.items()}
        return {"issuer": self.url, "userinfo_endpoint": f"{self.url}/userinfo", **found, **self.more}

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": "k1", "use": "sig"}]}

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        known = (
            form.get("client_secret") == self.secret and not authorization
            if self.secret
            else authorization == "Basic " + base64.b64encode(self.basic.encode()).decode()
        )
        if proof.decode() != self.challenge or form.get("code") != "good-code" or not known:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            "nonce": self.nonce,
            **self.claims,
            **self.spoil,
        }
        key: Any = self.key if self.algorithm == "RS256" else SECRET.ljust(32, "x")
        return 200, {
            "access_token": "at", "token_type": "Bearer",
            "id_token": jwt.encode(claims, key, self.algorithm, headers={"kid": "k1"}),
        }  # fmt: skip


@pytest.fixture
def idp() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def rig(tmp_path: Path, idp: Provider) -> Iterator[Rig]:
    made = Rig(
        tmp_path, oidc_issuer=idp.url, oidc_client_id=CLIENT, oidc_client_secret=SECRET,
        oidc_roles=("admin=ops", "viewer=all"), oidc_domains=("example.com",),
    )  # fmt: skip
    yield made
    made.close()


def begin(rig: Rig, idp: Provider, next: str = "/runs") -> tuple[dict[str, str], str]:
    """The browser's way to the provider; answers its cookie and the state."""
    sent = rig.request("GET", f"/login/oidc?next={next}", headers={"host": "h.test"})
    assert sent.status_code == 303, sent.text
    url = urlsplit(sent.headers["location"])
    given = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert sent.headers["location"].startswith(f"{idp.url}/auth?")
    assert given["response_type"] == "code"
    assert given["code_challenge_method"] == "S256"
    assert given["redirect_uri"] == "http://h.test/login/oidc/callback"
    assert set(given["scope"].split()) == {"openid", "profile", "email"}
    idp.challenge, idp.nonce = given["code_challenge"], given["nonce"]
    return {"cookie": sent.headers["set-cookie"].partition(";")[0], "host": "h.test"}, given["state"]


def finish(rig: Rig, browser: dict[str, str], state: str, code: str = "good-code") -> Response:
    return rig.request("GET", f"/login/oidc/callback?code={code}&state={state}", headers=browser)


def log_in(rig: Rig, idp: Provider) -> Response:
    return finish(rig, *begin(rig, idp))


def me(rig: Rig, answer: Response) -> Any:
    header = answer.headers["set-cookie"]
    return rig.request(
        "GET", "/v0/access/me", headers={"cookie": header[header.index("holdfast_session") :].partition(";")[0]}
    ).json()


def test_there_is_a_button(rig: Rig) -> None:
    page = rig.request("GET", "/login?next=/runs").text
    assert 'href="/login/oidc?next=/runs"' in page
    assert "<form" not in page  # nobody has a password


def test_a_login(rig: Rig, idp: Provider) -> None:
    answer = log_in(rig, idp)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs"), answer.text
    assert me(rig, answer)["name"] == "anna@example.com"
    assert me(rig, answer)["role"] == "admin"
    assert [user.name for user in rig.access.users.all()] == ["anna@example.com"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/.well-known/openid-configuration", 502), ("/token", 401), ("/keys", 401), ("/userinfo", 401)],
)
def test_a_provider_that_hangs_up_is_no_error_of_this_server(rig: Rig, idp: Provider, path: str, status: int) -> None:
    idp.drops = path
    del idp.claims["groups"]  # so that the user info is asked
    answer = rig.request("GET", "/login/oidc", headers={"host": "h.test"}) if status == 502 else log_in(rig, idp)
    assert answer.status_code == status
    assert "identity provider" in answer.text


def test_beginning_a_login_costs_little(rig: Rig, idp: Provider) -> None:
    """Any stranger can do it, over and over: it makes no client with certificates of its own."""
    begin(rig, idp)
    began = time.process_time()
    for _ in range(20):
        begin(rig, idp)
    assert (time.process_time() - began) / 20 < 0.01


def test_the_role_follows_the_provider(rig: Rig, idp: Provider) -> None:
    first = log_in(rig, idp)
    idp.claims["groups"] = ["all"]
    second = log_in(rig, idp)
    assert me(rig, second)["role"] == "viewer"
    assert "error" in me(rig, first)  # the session of a higher role is over
    assert len(rig.access.users) == 1


def test_groups_may_be_in_the_user_info(rig: Rig, idp: Provider) -> None:
    idp.user_info = {"sub": "u1", "groups": ["ops"]}
    del idp.claims["groups"]
    assert me(rig, log_in(rig, idp))["role"] == "admin"
    idp.user_info = {"sub": "somebody else", "groups": ["ops"]}
    assert log_in(rig, idp).status_code == 401


def test_the_address_may_be_in_the_user_info(rig: Rig, idp: Provider) -> None:
    idp.user_info = {"sub": "u1", "email": idp.claims.pop("email"), "groups": ["of the user info"]}
    found = me(rig, log_in(rig, idp))
    assert (found["name"], found["role"]) == ("anna@example.com", "admin")  # groups of the token count
    idp.user_info["email_verified"] = False
    assert log_in(rig, idp).status_code == 401


def test_a_secret_is_encoded_as_the_standard_has_it(tmp_path: Path, idp: Provider) -> None:  # RFC 6749 §2.3.1
    idp.basic = "hold+fast:a%2Bb%25c%3Ad%C3%A9"
    rig = Rig(
        tmp_path, oidc_issuer=idp.url, oidc_client_id="hold fast", oidc_client_secret="a+b%c:dé",
        oidc_default_role="viewer",
    )  # fmt: skip
    idp.claims["aud"] = "hold fast"
    assert me(rig, log_in(rig, idp))["role"] == "viewer"
    rig.close()


def test_a_provider_may_want_the_secret_in_the_body(rig: Rig, idp: Provider) -> None:
    idp.more = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}
    idp.secret = SECRET
    assert me(rig, log_in(rig, idp))["role"] == "admin"


@pytest.mark.parametrize(
    "spoil", [{"groups": ["strangers"]}, {"groups": []}, {"email": "a@evil.example"}, {"email_verified": False}]
)
def test_who_is_not_allowed_stays_out(rig: Rig, idp: Provider, spoil: dict[str, Any]) -> None:
    idp.spoil = spoil
    answer = log_in(rig, idp)
    assert answer.status_code == 401
    assert "not allowed" in answer.text
    assert len(rig.access.users) == 0
    rows = rig.request("GET", "/v0/access/audit", headers=bearer(KEY)).json()["data"]
    assert rows[0]["outcome"] == "not allowed"


@pytest.mark.parametrize(
    "spoil",
    [
        {"nonce": "another"}, {"aud": "another"}, {"iss": "http://evil.example"}, {"exp": int(time.time()) - 3_600},
        {"sub": None}, {"iat": "x"},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_login_is_refused(rig: Rig, idp: Provider, spoil: dict[str, Any]) -> None:
    idp.spoil = spoil
    answer = log_in(rig, idp)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_token_of_another_key_is_refused(rig: Rig, idp: Provider) -> None:
    browser, state = begin(rig, idp)
    keys = idp.keys()
    idp.key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    idp.keys = lambda: keys  # type: ignore[method-assign]
    assert finish(rig, browser, state).status_code == 401


def test_a_token_signed_with_the_secret_is_refused(rig: Rig, idp: Provider) -> None:
    idp.algorithm = "HS256"
    assert log_in(rig, idp).status_code == 401


@pytest.mark.parametrize("odd", [b"<html>", b"\xff", b"[]", b"5", b'{"keys": 5}', b'{"keys": [5]}', b"[" * 100_000])
def test_answers_that_are_none_are_refused(rig: Rig, idp: Provider, odd: bytes) -> None:
    browser, state = begin(rig, idp)
    idp.keys = lambda: odd  # type: ignore[method-assign,assignment,return-value]
    assert finish(rig, browser, state).status_code == 401
    browser, state = begin(rig, idp)
    idp.token = lambda *_: (200, odd)  # type: ignore[method-assign,assignment,return-value]
    answer = finish(rig, browser, state)
    assert (answer.status_code, "can&#x27;t be used" in answer.text) == (401, True)


def test_two_first_logins_at_once(rig: Rig) -> None:
    async def both() -> list[Any]:
        return await asyncio.gather(*(rig.access.admit("idp u1", "anna", Role.VIEWER) for _ in range(2)))

    one, other = rig.run(both())
    assert one == other
    assert len(rig.access.users) == 1


def test_a_name_that_no_user_can_have_is_told(rig: Rig) -> None:
    with pytest.raises(UserError, match="name must be 1 to 128 letters"):
        rig.run(rig.access.admit("idp auth0|17", "auth0|17", Role.VIEWER))


def test_a_wrong_code_is_refused(rig: Rig, idp: Provider) -> None:
    assert finish(rig, *begin(rig, idp), code="bad").status_code == 401


def test_a_login_of_another_browser_is_refused(rig: Rig, idp: Provider) -> None:
    _, state = begin(rig, idp)
    assert finish(rig, {"host": "h.test"}, state).status_code == 400
    assert finish(rig, {"cookie": "holdfast_oidc=x"}, state).status_code == 400


def test_a_state_is_used_once(rig: Rig, idp: Provider) -> None:
    browser, state = begin(rig, idp)
    assert finish(rig, browser, state).status_code == 303
    assert finish(rig, browser, state).status_code == 401


def test_the_provider_may_refuse(rig: Rig, idp: Provider) -> None:
    browser, state = begin(rig, idp)
    path = f"/login/oidc/callback?error=access_denied&error_description=<b>no</b>&state={state}"
    answer = rig.request("GET", path, headers=browser)
    assert answer.status_code == 401
    assert "&lt;b&gt;no&lt;/b&gt;" in answer.text


def test_a_local_user_is_not_taken_over(rig: Rig, idp: Provider) -> None:
    rig.user(Role.VIEWER, "anna@example.com")
    answer = log_in(rig, idp)
    assert answer.status_code == 401
    assert "already exists" in answer.text


def test_a_provider_that_is_away_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, oidc_issuer="http://127.0.0.1:9", oidc_client_id="x")
    answer = rig.request("GET", "/login/oidc")
    assert answer.status_code == 502
    assert "does not answer" in answer.text
    rig.close()


def test_a_token_for_another_application_opens_nothing(rig: Rig, idp: Provider) -> None:
    """A provider may put several audiences into a token; `azp` is whom it is for."""
    idp.spoil = {"aud": [CLIENT, "other-app"], "azp": "other-app"}
    assert log_in(rig, idp).status_code == 401
    idp.spoil = {"aud": [CLIENT, "other-app"], "azp": CLIENT}
    assert log_in(rig, idp).status_code == 303


def test_an_address_that_nobody_verified_names_nobody(tmp_path: Path, idp: Provider) -> None:
    rig = Rig(
        tmp_path, oidc_issuer=idp.url, oidc_client_id=CLIENT, oidc_client_secret=SECRET, oidc_roles=("viewer=all",)
    )  # fmt: skip
    try:
        idp.claims |= {"email": "boss@example.com", "email_verified": False, "preferred_username": "mallory"}
        assert me(rig, log_in(rig, idp))["name"] == "mallory"
    finally:
        rig.close()


def test_a_provider_that_is_away_is_asked_once_however_many_wait(tmp_path: Path) -> None:
    """Each stranger's request made one of the server's own, which hung for ten seconds."""
    asked: list[str] = []
    options = OidcOptions(issuer="http://idp.test", client_id=CLIENT)
    rig = Rig(tmp_path)
    oidc = Oidc(rig.access, options)

    async def fetch(url: str, _bearer: str = "") -> bytes:
        asked.append(url)
        await asyncio.sleep(0)
        raise OSError("away")

    oidc._fetch = fetch  # type: ignore[method-assign]

    async def many() -> list[Any]:
        return await asyncio.gather(*(oidc.begin("http://h/cb", "/") for _ in range(50)), return_exceptions=True)

    try:
        assert {str(one) for one in rig.run(many())} == {"The identity provider does not answer. Try again later."}
        assert len(asked) == 1
        rig.run(many())  # it is asked again, later
        assert len(asked) == 2
    finally:
        rig.close()
