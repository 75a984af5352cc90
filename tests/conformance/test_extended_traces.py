"""Spans of user code beneath the steps that they were made in: the TypeScript SDK's own, and a Python app's."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .harness import wait_until
from .processes import HERE, Process, free_port
from .raw import Answer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .harness import Platform

CLIENTS = ("traced", "traced-plain")
NODE = """name status attempts isUserland stepID
  userlandSpan { spanName spanKind serviceName scopeName scopeVersion spanAttrs }
  metadata { scope kind values }"""
TREE = f"""query($id: String!) {{ run(runID: $id) {{ trace(preview: true) {{ {NODE} childrenSpans {{
  {NODE} childrenSpans {{ {NODE} childrenSpans {{ {NODE} childrenSpans {{ {NODE} }} }} }} }} }} }} }}"""


@pytest.fixture(scope="module")
def app(platform: Platform, node_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(lambda _: Answer(200, {"price": 7})) as upstream:
        port = free_port()
        env = {"PORT": str(port), "SERVER_URL": platform.url, "UPSTREAM_URL": upstream.url}
        log = tmp_path_factory.mktemp("traces") / "app.log"
        process = Process(["node", str(node_app / "traces.mjs")], port, log, env)
        process.start("/health")
        for client in CLIENTS:
            assert httpx.put(f"{process.url}/api/{client}", timeout=20).status_code == 200
        yield process
        process.stop()


@pytest.mark.sdk_js
@pytest.mark.parametrize("client", CLIENTS)
def test_spans_hang_beneath_the_attempts_that_made_them(app: Process, platform: Platform, client: str) -> None:
    (run,) = platform.runs_of(platform.send(f"{client}/shop"))
    platform.wait_run(run)

    def whole() -> Any:
        tree = platform.gql(TREE, id=run)["run"]["trace"]
        return tree if {"look up", "ask the model", "declined", "paid"} <= set(names(tree)) else None

    tree = wait_until(whole, 20, "all spans have come")
    price = owner(tree, "look up")
    assert (price["name"], price["status"]) == ("price", "COMPLETED")
    (look_up,) = [span for span in price["childrenSpans"] if span["name"] == "look up"]
    assert look_up["userlandSpan"]["scopeName"] == "shop"
    assert look_up["userlandSpan"]["scopeVersion"] == "3.1"
    inside = {span["name"] for span in look_up["childrenSpans"]}
    assert {"ask the model", "GET"} <= inside, inside
    attributes = json.loads(
        next(span for span in look_up["childrenSpans"] if span["name"] == "ask the model")["userlandSpan"]["spanAttrs"]
    )
    assert attributes["gen_ai.request.model"] == "m-1"
    assert not [name for name in attributes if name.startswith(("sdk.", "sys.", "inngest."))]
    told = {entry["kind"]: entry["values"] for entry in price["metadata"] if entry["scope"] == "extended_trace"}
    assert told["inngest.ai"]["total_tokens"] == 14
    assert told["inngest.http"]["method"] == "GET"
    assert told["inngest.http"]["response_status"] == 200
    declined, paid = owner(tree, "declined"), owner(tree, "paid")
    assert [(one["name"], one["status"], one["attempts"]) for one in (declined, paid)] == [
        ("pay", "FAILED", 0),
        ("pay", "COMPLETED", 1),
    ]
    assert next(s for s in declined["childrenSpans"] if s["name"] == "declined")["status"] == "FAILED"


@pytest.mark.sdk_python
def test_a_python_app_sends_its_spans_with_what_its_calls_told(platform: Platform, tmp_path: Path) -> None:
    port = free_port()
    env = {"PORT": str(port), "SERVER_URL": platform.url}
    process = Process([sys.executable, str(HERE / "python_traces.py")], port, tmp_path / "app.log", env)
    process.start("/health")
    try:
        assert httpx.put(f"{process.url}/api/inngest", timeout=20).status_code == 200
        (run,) = platform.runs_of(platform.send("traced-python/shop"))
        platform.wait_run(run)

        def whole() -> Any:
            tree = platform.gql(TREE, id=run)["run"]["trace"]
            return tree if {"ask", "in the body"} <= set(names(tree)) else None

        tree = wait_until(whole, 20, "all spans have come")
    finally:
        process.stop()
    assert owner(tree, "ask")["name"] == "look up"
    under = {child["name"]: names(child) for child in tree["childrenSpans"] if child["childrenSpans"]}
    assert "look up" in under["price"]
    assert "in the body" in under["Finalization"]


def names(span: Any) -> list[str]:
    return [span["name"], *(name for child in span.get("childrenSpans", ()) for name in names(child))]


def owner(span: Any, name: str) -> Any:
    """The span whose child has a name."""
    found = [child for child in span.get("childrenSpans", ()) if child["name"] == name]
    if found:
        return span
    return next((one for child in span.get("childrenSpans", ()) if (one := owner(child, name))), None)
