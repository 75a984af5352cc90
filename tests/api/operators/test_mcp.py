"""MCP, with the client of its official package against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
import structlog
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolRequestParams
from tests.api.access_rig import KEY, Rig
from tests.api.serving import Served
from tests.api.telemetry import _registration

from holdfast.server.access.principals import ANYONE, Role, current
from holdfast.server.api.operators.mcp import docs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from mcp.types import CallToolResult

    from holdfast.server.api.common.backend import Backend

SERVED = {
    "health", "get_run", "list_runs", "list_function_runs", "get_event_runs", "rerun", "cancel_run", "get_app",
    "get_apps", "get_run_trace", "get_function", "list_functions", "invoke_function", "send_event", "get_run_status",
    "poll_run_status", "invoke_function_sync", "list_docs", "grep_docs", "read_doc",
}  # fmt: skip


class App(BaseHTTPRequestHandler):
    """Answers each call with what its event brought; fails for `{"fail": true}`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        data = sent["event"]["data"]
        fails = data.get("fail")
        body = json.dumps({"name": "Error", "message": "no"} if fails else {"n": data.get("n")}).encode()
        self.send_response(500 if fails else 200)
        for name, value in (
            ("content-type", "application/json"), ("x-inngest-sdk", "raw:v1"), ("x-inngest-req-version", "2"),
            ("content-length", str(len(body))),
        ):  # fmt: skip
            self.send_header(name, value)
        if fails:
            self.send_header("x-inngest-no-retry", "true")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app = ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=app.serve_forever, daemon=True)
    thread.start()
    with Served(tmp_path_factory.mktemp("mcp")) as served:
        registration = json.dumps(_registration(f"http://127.0.0.1:{app.server_address[1]}/")).encode()
        assert served.request("POST", "/fn/register", registration)[0] == 200
        yield served
        assert not served.errors(), served.tail()
    app.shutdown()
    thread.join()
    app.server_close()


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[ClientSession]:
    async with streamable_http_client(f"{url}/mcp") as streams, ClientSession(streams[0], streams[1]) as opened:
        await opened.initialize()
        yield opened


def call(server: Served, tool: str, **arguments: object) -> CallToolResult:
    async def ask() -> CallToolResult:
        async with session(server.url) as opened:
            return await opened.call_tool(tool, arguments)

    return asyncio.run(ask())


def result(server: Served, tool: str, **arguments: object) -> Any:
    found = call(server, tool, **arguments)
    assert not found.is_error, found
    assert json.loads(found.content[0].text) == found.structured_content  # type: ignore[union-attr]
    return found.structured_content


def failure(server: Served, tool: str, **arguments: object) -> str:
    found = call(server, tool, **arguments)
    assert found.is_error, found
    return str(found.content[0].text)  # type: ignore[union-attr]


def test_tools(server: Served) -> None:
    async def ask() -> Any:
        async with session(server.url) as opened:
            return (await opened.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(ask())}
    assert set(tools) == SERVED
    invoke = tools["invoke_function"].input_schema
    assert invoke["required"] == ["appId", "functionId", "data"]
    assert invoke["additionalProperties"] is False
    assert tools["rerun"].input_schema["$defs"]["FromStep"]["properties"]["stepId"]["type"] == "string"
    assert tools["get_run"].annotations.read_only_hint
    assert tools["cancel_run"].annotations.destructive_hint


def test_an_event_and_its_run(server: Served) -> None:
    sent = result(server, "send_event", name="go", data={"n": 1})
    assert sent["status"] == "accepted"
    (run,) = sent["runIds"]
    polled = result(server, "poll_run_status", runIds=[run], pollInterval=50)
    assert (polled["completed"], polled["running"], polled["failed"]) == (1, 0, 0)
    assert polled["runs"][0]["output"] == {"n": 1}
    status = result(server, "get_run_status", runId=run)
    assert (status["functionName"], status["status"], status["eventName"]) == ("charge", "COMPLETED", "go")
    listed = result(server, "get_event_runs", eventId=sent["eventId"])
    assert [each["id"] for each in listed["data"]] == [run]
    again = result(server, "rerun", runId=run)["data"]["runId"]
    assert again != run
    assert result(server, "get_run_trace", run_id=run)["data"]["runId"] == run


def test_values_that_are_no_objects_are_wrapped(server: Served) -> None:
    event = result(server, "send_event", name="other", data=[1, 2], user="anna")["eventId"]
    _, body = server.request("GET", f"/v1/events/{event}")
    found = json.loads(body)["data"]
    assert (found["data"], found["user"]) == ({"value": [1, 2]}, {"id": "anna"})


def test_invoking(server: Served) -> None:
    found = result(server, "invoke_function_sync", functionId="shop-charge", data={"n": 2})
    assert (found["status"], found["output"]) == ("COMPLETED", {"n": 2})
    failed = result(server, "invoke_function_sync", functionId="charge", data={"fail": True})
    assert (failed["status"], failed["error"]["message"]) == ("FAILED", "no")
    run = result(server, "invoke_function", appId="shop", functionId="charge", data={"n": 3})["data"]["runId"]
    assert result(server, "poll_run_status", runIds=[run], pollInterval=50)["completed"] == 1


def test_what_goes_wrong_is_told(server: Served) -> None:
    nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert (
        failure(server, "get_run", runId=nobody) == '404: {"errors":[{"code":"not_found","message":"Run not found"}]}'
    )
    assert "unknown field `colour`" in failure(server, "get_app", appId="shop", colour="red")
    assert failure(server, "get_run_status", runId=nobody) == f"Run not found: {nobody}"
    assert "run ids are ULIDs" in failure(server, "get_run_status", runId="x")
    assert "missing required field `runId`" in failure(server, "get_run_status")
    assert "Function not found: nope" in failure(server, "invoke_function_sync", functionId="nope")
    assert "reserved for internal use" in failure(server, "send_event", name="inngest/x")
    assert "1 to 100" in failure(server, "poll_run_status", runIds=[])
    assert failure(server, "fly") == "There is no tool fly"


def test_what_nobody_foresaw_is_told_to_the_log_alone() -> None:
    from holdfast.server.api.operators.mcp import tool_server as mcp_server  # the library behind it is slow to load

    class Broken:
        @property
        def history(self) -> Any:
            raise OSError("/var/lib/secret.db")

    async def ask(backend: Any) -> Any:
        token = current.set(ANYONE)
        try:
            return await mcp_server._Tools(backend).call(None, CallToolRequestParams(name="get_apps"))  # type: ignore[arg-type]
        finally:
            current.reset(token)

    with structlog.testing.capture_logs() as logged:
        found = asyncio.run(ask(Broken()))
    assert found.is_error
    assert found.content[0].text == "The call could not be handled, see the server's log"
    assert [(line["log_level"], line["tool"]) for line in logged] == [("error", "get_apps")]


def test_other_requests(server: Served) -> None:
    assert server.request("GET", "/mcp")[0] == 405
    status, body = server.request(
        "POST", "/mcp", b"nonsense", {"accept": "application/json", "content-type": "application/json"}
    )
    assert status == 400
    assert b"Traceback" not in body


def test_the_documentation(server: Served) -> None:
    listed = result(server, "list_docs")
    assert listed["totalDocs"] == len(listed["docs"]) == sum(listed["categories"].values()) > 40
    assert {"path": "how-to/back-up.md", "title": "Back up, restore, check"} in listed["docs"]
    found = result(server, "grep_docs", pattern=r"HOLDFAST db (backup|restore)\b", limit=3)
    assert found["count"] == len(found["matches"]) == 3
    first = found["matches"][0]
    page = result(server, "read_doc", path=first["file"])
    assert page["content"].splitlines()[first["line"] - 1].strip() == first["content"]
    assert page["size"] == len(page["content"].encode())
    assert result(server, "grep_docs", pattern="no such words anywhere") == {"matches": [], "count": 0}


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("read_doc", {"path": "../README.md"}, "No page ../README.md. Use list_docs to list the pages"),
        ("read_doc", {"path": "/etc/passwd"}, "No page"), ("read_doc", {}, "The arguments can't be read"),
        ("grep_docs", {"pattern": "("}, "pattern can't be read"), ("grep_docs", {"pattern": ""}, "1 to 200 characters"),
        ("grep_docs", {"pattern": "a", "limit": 0}, "limit must be 1 to 100"), ("list_docs", {"x": 1}, "x"),
    ],
)  # fmt: skip
def test_documentation_that_is_not_there(server: Served, tool: str, arguments: dict[str, Any], text: str) -> None:
    assert text in failure(server, tool, **arguments)


def test_a_pattern_that_takes_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "_SEARCH_S", 0.0)
    found = asyncio.run(docs.TOOLS[1].run(cast("Backend", None), b'{"pattern": "a"}'))
    assert found == {"matches": [], "count": 0, "message": "The search took too long: there may be more"}


def test_nothing_is_loaded_before_it_is_asked_for(server: Served) -> None:
    import subprocess
    import sys

    names = "('mcp.', 'mcp_types', 'pydantic')"
    code = f"import sys, holdfast.server.app; sys.exit(any(name.startswith({names}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, False), (Role.OPERATOR, True)])
def test_in_start_the_callers_role_counts(tmp_path: Path, role: Role, allowed: bool) -> None:
    rig = Rig(tmp_path)
    token = rig.token(role)["authorization"]

    async def ask() -> Any:
        transport = httpx.ASGITransport(rig.server)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.post("/mcp", json={})).status_code == 401
            return [
                await _call(client, token, "get_apps", {}), await _call(client, token, "send_event", {"name": "a"}),
                await _call(client, token, "cancel_run", {"runId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
            ]  # fmt: skip

    read, sent, cancelled = rig.run(ask())
    assert not read["isError"]
    assert sent["isError"] is not allowed
    assert ("needs the role operator" in sent["content"][0]["text"]) is not allowed
    assert ("Run not found" in cancelled["content"][0]["text"]) is allowed
    rig.close()


async def _call(client: httpx.AsyncClient, token: str, tool: str, arguments: dict[str, Any]) -> Any:
    headers = {
        "authorization": token, "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18",
    }  # fmt: skip
    params = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = await client.post("/mcp", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_the_signing_key_may_do_everything(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(rig.server), base_url="http://localhost") as client:
            return await _call(client, f"Bearer {KEY}", "send_event", {"name": "a"})

    assert rig.run(ask())["structuredContent"]["status"] == "accepted"
    rig.close()
