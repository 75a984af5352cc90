"""Durable endpoints and defers of the TypeScript SDK (`protocol/execution.md` §5.3-5.6)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import httpx
import pytest

from .harness import wait_until
from .processes import HERE, Process, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .harness import Platform

pytestmark = pytest.mark.sdk_js


@pytest.fixture(scope="module")
def endpoints(platform: Platform, node_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("endpoints") / "app.log"
    command = ["node", str(HERE / "js_app" / "endpoints.mjs")]
    process = Process(command, port, log, {"PORT": str(port), "SERVER_URL": platform.url})
    process.start("/ready")
    yield process.url
    process.stop()


def test_an_endpoint_that_ends_in_its_own_request(endpoints: str, platform: Platform) -> None:
    answer = httpx.get(f"{endpoints}/quick", timeout=10)
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (201, "sum 3", "yes")
    found = platform.gql("{ functions { slug app { method } } }")["functions"]
    assert {"slug": "GET /quick", "app": {"method": "API"}} in found


def test_an_endpoint_that_sleeps_and_retries_is_taken_up_again(endpoints: str) -> None:
    answer = httpx.get(f"{endpoints}/slow", params={"q": "hello"}, timeout=30)
    assert answer.status_code == 302
    output = httpx.get(answer.headers["location"], timeout=30)
    assert (output.status_code, output.json()) == (200, "slow 2 hello")


def test_an_output_is_for_those_who_have_its_token(endpoints: str) -> None:
    where = httpx.URL(httpx.get(f"{endpoints}/slow", params={"q": "x"}, timeout=30).headers["location"])
    refused = httpx.get(where.copy_set_param("token", "forged"), timeout=10)
    assert (refused.status_code, refused.json()["error"]) == (401, "Unable to find run with auth token")


def test_an_endpoint_streams_directly_and_after_it_is_taken_up_again(endpoints: str) -> None:
    answer = httpx.get(f"{endpoints}/watch", timeout=30)
    assert answer.status_code == 200, answer.text
    watched = answer.json()
    assert (watched["status"], watched["text"]) == (202, "streamed to the end")
    seen = watched["seen"]
    assert [told["data"] for told in seen if told["kind"] == "data"] == [{"part": "direct"}, "grüße ", "✓"]
    runs = {told["runId"] for told in seen if told["kind"] == "metadata"}
    assert len(runs) == 1
    assert not [told for told in seen if told["kind"] == "rollback"]
    direct, first, second = (told["at"] for told in seen if told["kind"] == "data")
    assert first - direct >= 800, "the sleep lies between"
    assert second - first >= 200, "nothing is held back"


def test_the_token_of_a_stream_is_for_that_run_alone(endpoints: str, platform: Platform) -> None:
    with httpx.stream("GET", f"{endpoints}/streamed", headers={"accept": "text/event-stream"}, timeout=30) as direct:
        assert direct.headers["content-type"] == "text/event-stream"
        lines = [line for line in direct.iter_lines() if line.startswith("data: ")]
    (redirect,) = [found for line in lines if "url" in (found := json.loads(line[6:]))]
    url = httpx.URL(redirect["url"])
    assert url.path == "/v1/realtime/sse"
    claims = json.loads(base64.urlsafe_b64decode(url.params["token"].split(".")[1] + "=="))
    (topic,) = claims["topics"]
    assert (topic["kind"], topic["channel"], topic["name"]) == ("run", redirect["runId"], "$stream")
    assert claims["exp"] - claims["iat"] == 16 * 60
    assert not claims["publish"]
    assert httpx.get(url.copy_set_param("token", "forged"), timeout=10).status_code == 401
    text = b""
    with httpx.stream("GET", url, timeout=30) as resumed:
        for piece in resumed.iter_bytes():
            text += piece
            if b"inngest.response" in text and text.endswith(b"\n\n"):
                break
    assert "streamed to the end" in text.decode()


def test_a_deferred_function_starts_when_its_parent_has_ended(endpoints: str, platform: Platform) -> None:
    assert httpx.put(f"{endpoints}/api/inngest", timeout=10).status_code == 200
    (parent,) = platform.runs_of(platform.send("endpoints/parent"))
    assert platform.wait_run(parent).output == "done"
    query = "query($id: String!) { run(runID: $id) { defers { status fnSlug run { id isDeferred } } } }"

    def deferred() -> str | None:
        (defer,) = platform.gql(query, id=parent)["run"]["defers"]
        assert (defer["status"], defer["fnSlug"]) == ("SCHEDULED", "endpoints-later")
        return defer["run"]["id"] if defer["run"] else None

    run = platform.wait_run(wait_until(deferred))
    assert run.output == {"data": {"order": 7}, "parent": {"fnSlug": "endpoints-parent", "runId": parent}}
