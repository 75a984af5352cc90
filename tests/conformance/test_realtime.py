"""Realtime with the official packages: `inngest` and `@inngest/realtime` for TypeScript, `inngest` for Python."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import inngest
import pytest
from inngest.experimental import realtime
from websockets.sync.client import connect

from .harness import Platform, wait_until
from .processes import HERE, Process, free_port, server_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "signkey-test-" + "0f" * 32


@dataclasses.dataclass(frozen=True)
class Node:
    """The TypeScript side."""

    url: str
    platform: Platform

    def subscribe(self, channel: str, *topics: str, key: str = "") -> int:
        """Connect; what is published after this returns arrives."""
        params = {"channel": channel, "topics": ",".join(topics), "key": key}
        answer = httpx.post(f"{self.url}/subscribe", params=params, timeout=30)
        assert answer.status_code == 200, answer.text
        return int(answer.text)

    def kept(self, id: int) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/kept", params={"id": id}, timeout=10).json()
        return found

    def wait(self, id: int, count: int, kind: str = "data") -> list[dict[str, Any]]:
        """The messages of a kind, once there are so many."""

        def come() -> list[dict[str, Any]] | None:
            found = [message for message in self.kept(id)["messages"] if message["kind"] == kind]
            return found if len(found) >= count else None

        return wait_until(come, 15, f"{count} of {kind}; there are {self.kept(id)}")

    def publish(self, channel: str, text: str) -> httpx.Response:
        return httpx.post(f"{self.url}/publish", params={"channel": channel}, content=text, timeout=10)


def node_process(platform: Platform, log: Path, signing_key: str = "", **env: str) -> Process:
    port = free_port()
    if signing_key:  # the older package knows the variable only
        env |= {"SIGNING_KEY": signing_key, "INNGEST_SIGNING_KEY": signing_key}
    # Node 20 has WebSocket behind a flag.
    command = ["node", "--experimental-websocket", "--no-warnings", str(HERE / "js_app" / "realtime.mjs")]
    process = Process(command, port, log, {"PORT": str(port), "SERVER_URL": platform.url, **env})
    process.start("/ready")
    return process


@pytest.fixture(scope="module")
def node(platform: Platform, node_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    process = node_process(platform, tmp_path_factory.mktemp("realtime") / "app.log")
    assert httpx.put(process.url + "/api/inngest", timeout=30).status_code == 200
    yield Node(process.url, platform)
    process.stop()


@pytest.fixture(scope="module")
def older_node(platform: Platform, node_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The older packages."""
    process = node_process(platform, tmp_path_factory.mktemp("realtime-older") / "app.log", SDK="older")
    assert httpx.put(process.url + "/api/inngest", timeout=30).status_code == 200
    yield Node(process.url, platform)
    process.stop()


@contextlib.contextmanager
def client_of(platform: Platform, signing_key: str | None = None) -> Iterator[inngest.Inngest]:
    """The Python SDK, which leaves its connections open."""
    client = inngest.Inngest(
        app_id="realtime-python", api_base_url=platform.url, event_api_base_url=platform.url, event_key="test",
        is_production=signing_key is not None, signing_key=signing_key, logger=logging.getLogger("quiet"),
    )  # fmt: skip
    try:
        yield client
    finally:
        client._http_client._http_client_sync.close()


def token_of(platform: Platform, channel: str, *topics: str, signing_key: str | None = None) -> str:
    with client_of(platform, signing_key) as client:
        return str(realtime.get_subscription_token_sync(client, channel, list(topics))["key"])


def publish(platform: Platform, channel: str, topic: str, data: dict[str, Any], signing_key: str | None = None) -> None:
    with client_of(platform, signing_key) as client:
        realtime.publish_sync(client, channel, topic, data)


def follow(platform: Platform, key: str) -> Any:
    return connect(f"{platform.url.replace('http', 'ws', 1)}/v1/realtime/connect?token={key}")


@pytest.fixture
def channel() -> str:
    return f"user:{secrets.token_hex(4)}"


@pytest.mark.sdk_js
def test_a_function_publishes_to_a_subscriber(node: Node, channel: str) -> None:
    id = node.subscribe(channel, "progress")
    (run_id,) = node.platform.runs_of(node.platform.send("realtime/publish", {"channel": channel}))
    run = node.platform.wait_run(run_id)
    said = {"percent": 100, "runId": run_id}
    assert run.output == said
    messages = node.wait(id, 2)
    assert [message["data"] for message in messages] == [{"percent": 50}, said]
    about = {(message["channel"], message["topic"], message["runId"]) for message in messages}
    assert about == {(channel, "progress", run_id)}


@pytest.mark.sdk_js
def test_a_function_publishes_a_stream(node: Node, channel: str) -> None:
    """Read without the SDK: the subscribers of both packages fail at the start of any stream (a bug of theirs)."""
    platform = node.platform
    with follow(platform, token_of(platform, channel, "answer")) as socket:
        (run_id,) = platform.runs_of(platform.send("realtime/publish", {"channel": channel}))
        heard = [json.loads(socket.recv(10))]
        while heard[-1]["kind"] != "datastream-end":
            heard.append(json.loads(socket.recv(10)))
    start, *chunks, end = heard
    assert start["kind"] == "datastream-start"
    assert start["data"] == end["data"]
    assert [(chunk["kind"], chunk["data"]) for chunk in chunks] == [
        ("chunk", "Grüße, "), ("chunk", "das ist "), ("chunk", "ein Strom ✓")
    ]  # fmt: skip
    about = {(m["channel"], m["topic"], m["run_id"]) for m in heard}
    assert about == {(channel, "answer", run_id)}
    assert {chunk["stream_id"] for chunk in chunks} == {start["data"]}


@pytest.mark.sdk_js
def test_a_function_of_the_older_package_publishes_to_its_subscriber(
    node: Node, older_node: Node, channel: str
) -> None:
    nodes = (node, older_node)
    ids = [each.subscribe(channel, "progress") for each in nodes]
    (run_id,) = node.platform.runs_of(node.platform.send("realtime-older/publish", {"channel": channel}))
    assert node.platform.wait_run(run_id).output == {"percent": 100}
    for each, id in zip(nodes, ids, strict=True):
        assert [message["data"] for message in each.wait(id, 2)] == [{"percent": 50}, {"percent": 100}]


@pytest.mark.sdk_js
def test_a_channel_and_its_topics_are_matched_exactly(node: Node, channel: str) -> None:
    mine, other_topic, other_channel = (
        node.subscribe(channel, "progress"),
        node.subscribe(channel, "answer"),
        node.subscribe(channel + "0", "progress"),
    )
    assert node.publish(channel, "hello").status_code == 200
    assert node.wait(mine, 1)[0]["data"] == "hello"
    assert node.kept(other_topic)["messages"] == node.kept(other_channel)["messages"] == []


@pytest.mark.sdk_js
def test_a_message_that_is_too_large_is_the_publishers_error(node: Node, channel: str) -> None:
    answer = node.publish(channel, "x" * (512 * 1024 + 1))
    assert answer.status_code == 500
    assert "Failed to publish event: 413" in answer.text


@pytest.mark.sdk_js
def test_a_subscriber_is_told_when_the_server_goes(node_app: Path, tmp_path: Path, channel: str) -> None:
    server = server_process("dev", tmp_path / "server.log", "--no-discovery", "--no-poll")
    server.start("/health")
    platform = Platform(server.url)
    process = node_process(platform, tmp_path / "app.log")
    try:
        node = Node(process.url, platform)
        id = node.subscribe(channel, "progress")
        server.stop()
        wait_until(lambda: node.kept(id)["closed"], 5)
    finally:
        process.stop()
        server.stop()
        platform.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """`holdfast start`: with a signing key."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ("--signing-key", KEY, "--event-key", "test", "--sqlite-dir", str(folder))
    server = server_process("start", folder / "server.log", *options)
    server.start("/health")
    platform = Platform(server.url, signing_key=KEY)
    yield platform
    platform.close()
    server.stop()


@pytest.mark.sdk_js
@pytest.mark.parametrize("sdk", ["newer", "older"])
def test_in_start_mode_the_sdk_has_the_key(
    guarded: Platform, node_app: Path, tmp_path: Path, channel: str, sdk: str
) -> None:
    process = node_process(guarded, tmp_path / "app.log", KEY, SDK=sdk)
    try:
        node = Node(process.url, guarded)
        id = node.subscribe(channel, "progress")
        publish(guarded, channel, "progress", {"n": 1}, KEY)
        assert node.wait(id, 1)[0]["data"] == {"n": 1}
        if sdk == "newer":
            assert node.publish(channel, "hello").status_code == 200
            assert node.wait(id, 2)[1]["data"] == "hello"
    finally:
        process.stop()


# --- Python ----------------------------------------------------------------------------------------------------------


@pytest.mark.sdk_python
def test_python_makes_tokens_and_publishes(platform: Platform, channel: str) -> None:
    async def there_and_back(client: inngest.Inngest) -> None:
        token = await realtime.get_subscription_token(client, channel, ["a", "b"])
        assert (token["channel"], token["topics"]) == (channel, ["a", "b"])
        with follow(platform, str(token["key"])) as socket:
            await realtime.publish(client, channel, "a", {"n": 1})
            await realtime.publish(client, channel, "c", {"n": 2})
            await realtime.publish(client, channel, "b", {"n": 3})
            heard = [json.loads(socket.recv(5)) for _ in range(2)]
            assert [(message["topic"], message["data"]) for message in heard] == [("a", {"n": 1}), ("b", {"n": 3})]
        await client._http_client._http_client.aclose()

    with client_of(platform) as client:
        asyncio.run(there_and_back(client))


@pytest.mark.sdk_python
def test_python_without_asyncio_and_with_a_key(guarded: Platform, channel: str) -> None:
    with follow(guarded, token_of(guarded, channel, "a", signing_key=KEY)) as socket:
        publish(guarded, channel, "a", {"n": 1}, KEY)
        assert json.loads(socket.recv(5))["data"] == {"n": 1}
    with pytest.raises(Exception, match=r"Authentication failed|401"):
        publish(guarded, channel, "a", {"n": 1}, "signkey-test-" + "ee" * 32)


@pytest.mark.sdk_python
@pytest.mark.sdk_js
def test_a_browser_uses_a_token_made_in_python(node: Node, channel: str) -> None:
    id = node.subscribe(channel, "progress", key=token_of(node.platform, channel, "progress"))
    publish(node.platform, channel, "progress", {"n": 1})
    assert node.wait(id, 1)[0]["data"] == {"n": 1}
