"""The page of the web UI, its files, and where they are served."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.access_rig import Rig

from holdfast.server.access.principals import Role
from holdfast.server.api.graphql.thread import Worker
from holdfast.server.api.operators import ui_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = {"accept": "text/html,application/xhtml+xml"}
INDEX = """<!doctype html><html><head><script>const theme = 1;</script>
<script type="module" src="/assets/index-abc.js"></script></head><body></body></html>"""


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "_ui"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    for suffix, content in (("", b"plain"), (".gz", b"gzipped"), (".br", b"brotli")):
        (folder / "assets" / f"index-abc.js{suffix}").write_bytes(content)
    monkeypatch.setattr(ui_files, "FOLDER", folder)
    return folder


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "dev", dev=True)
    yield rig
    rig.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "start")
    yield rig
    rig.close()


def about(body: bytes) -> dict[str, Any]:
    found = re.search(r'<meta name="holdfast" content="([^"]*)">', body.decode())
    assert found
    return dict(json.loads(html.unescape(found[1])))


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/01K8Q162CE3E2KGZHX7W87S7J3", "/no/such/screen"])
def test_browsers_get_the_page_wherever_no_api_is(dev: Rig, built: Path, path: str) -> None:
    answer = dev.request("GET", path, headers=PAGE)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    told = about(answer.content)
    assert told.pop("nonce") in answer.headers["content-security-policy"]
    assert told == {"kind": "dev", "version": dev.server.config.version, "open": True, "user": "", "role": "admin"}


@pytest.mark.parametrize(("path", "headers"), [("/v1/nothing", PAGE), ("/v2/nothing", PAGE), ("/runs", {})])
def test_apis_and_programs_get_no_page(dev: Rig, built: Path, path: str, headers: dict[str, str]) -> None:
    assert dev.request("GET", path, headers=headers).status_code == 404


def test_nothing_but_reading_gets_the_page(dev: Rig, built: Path) -> None:
    assert dev.request("POST", "/runs", headers=PAGE).status_code == 404


def test_the_policy_allows_scripts_of_the_server_and_the_inline_one_by_its_hash(dev: Rig, built: Path) -> None:
    policy = dev.request("GET", "/", headers=PAGE).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'self' 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_the_page_says_who_is_logged_in(guarded: Rig, built: Path) -> None:
    answer = guarded.request("GET", "/runs", headers={**PAGE, **guarded.cookie(Role.OPERATOR)})
    assert about(answer.content)["role"] == "operator"
    assert about(answer.content)["open"] is False
    assert answer.headers["cache-control"] == "no-store"


def test_strangers_are_led_to_the_login_and_get_the_files(guarded: Rig, built: Path) -> None:
    answer = guarded.request("GET", "/runs?status=FAILED", headers=PAGE)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fruns%3Fstatus%3DFAILED"
    assert guarded.request("GET", "/assets/index-abc.js").status_code == 200


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [("gzip, br", "br", b"brotli"), ("gzip", "gzip", b"gzipped"), ("", None, b"plain")],
)
def test_files_are_kept_for_good_and_compressed_as_the_browser_likes(
    dev: Rig, built: Path, accepted: str, encoding: str | None, body: bytes
) -> None:
    answer = dev.request("GET", "/assets/index-abc.js", headers={"accept-encoding": accepted})
    assert answer.status_code == 200
    assert answer.content == body
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["none.js", "..%2findex.html", "%2e%2e", ".env"])
def test_there_are_no_other_files(dev: Rig, built: Path, name: str) -> None:
    assert dev.request("GET", f"/assets/{name}").status_code == 404


def test_a_checkout_without_a_built_ui_says_what_to_do(
    dev: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui_files, "FOLDER", tmp_path / "nowhere")
    answer = dev.request("GET", "/", headers=PAGE)
    assert answer.status_code == 503
    assert b"scripts/setup" in answer.content


def test_without_ui_there_is_no_page(tmp_path: Path, built: Path) -> None:
    rig = Rig(tmp_path / "bare", ui=False)
    try:
        assert rig.request("GET", "/assets/index-abc.js").status_code == 404
        assert rig.request("GET", "/runs", headers={**PAGE, **rig.cookie(Role.ADMIN)}).status_code == 404
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/runs", ["Runs-1.js", "Runs-1.css"]),
        ("/runs/01K8Q162CE3E2KGZHX7W87S7J3", ["Run-2.js"]),
        ("/", ["Runs-1.js", "Runs-1.css"]),
        ("/runs/01K8Q162CE3E2KGZHX7W87S7J3/more", []),
        ("/no", []),
    ],
)
def test_the_page_names_the_files_of_its_screen(dev: Rig, built: Path, path: str, wanted: list[str]) -> None:
    runs = ["assets/Runs-1.js", "assets/Runs-1.css", "assets/index-abc.js"]
    known = {"/runs": runs, "/runs/$runID": ["assets/Run-2.js"], "/": runs}
    (built / "preload.json").write_text(json.dumps(known))
    text = dev.request("GET", path, headers=PAGE).text
    assert re.findall(r'<link rel="(?:modulepreload|stylesheet)" href="/assets/([^"]+)"', text) == wanted
    assert text.count("index-abc.js") == 1


def test_a_page_that_opens_has_the_schema_loaded_ahead(dev: Rig, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Worker, "begin", lambda _self, work: begun.append(work.__name__))
    dev.request("GET", "/assets/index-abc.js")
    assert begun == []
    dev.request("GET", "/", headers=PAGE)
    assert begun == ["_loaded"]
