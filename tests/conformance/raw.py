"""Endpoints without an SDK, inside the test process: broken apps, upstreams, a listener for internal events."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from .harness import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .harness import Platform

Json = dict[str, Any]
SDK = {"x-inngest-sdk": "raw:v1", "x-inngest-req-version": "2", "content-type": "application/json"}


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as it came in; `attempt` is that of a call's body, 0 elsewhere."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    names: tuple[str, ...] = ()  # of its headers, as written

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def attempt(self) -> int:
        return int(self.json["ctx"]["attempt"])


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to answer: a JSON value unless `body` is bytes; `cut` promises more bytes than are sent."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    cut: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def sdk(status: int, body: object, **headers: str) -> Answer:
    """An answer as an SDK gives it; underscores in header names become dashes."""
    return Answer(status, body, {**SDK, **{name.replace("_", "-"): value for name, value in headers.items()}})


class Handler(BaseHTTPRequestHandler):
    """Hands each request to its endpoint; an endpoint that gives None closes the connection without an answer."""

    protocol_version = "HTTP/1.1"
    server: Endpoint

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, query, headers, body, time.time(), tuple(self.headers))
        self.server.requests.append(request)
        self.answer(self.server.respond(request))

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def answer(self, answer: Answer | None) -> None:
        self.close_connection = True
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content) + 100 * answer.cut))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


class Endpoint(ThreadingHTTPServer):
    """An HTTP server in a thread; `respond` decides, `requests` remembers."""

    daemon_threads = True

    def __init__(self, respond: Callable[[Request], Answer | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.respond = respond
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A peer that went away is no test's business."""

    def of_run(self, run_id: str) -> list[Request]:
        """Calls of one run, in the order of arrival."""
        return [request for request in self.requests if request.headers.get("x-run-id") == run_id]


@contextlib.contextmanager
def serving(respond: Callable[[Request], Answer | None]) -> Iterator[Endpoint]:
    endpoint = Endpoint(respond)
    thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


def function_config(
    app: str, name: str, url: str, *, retries: int = 0, triggers: list[Json] | None = None, **more: Any
) -> Json:
    """A function's registration as an SDK would send it; it listens to `<app>/<name>` unless told otherwise."""
    slug = f"{app}-{name}"
    runtime = {"type": "http", "url": f"{url}?fnId={slug}&stepId=step"}
    steps = {"step": {"id": "step", "name": "step", "runtime": runtime, "retries": {"attempts": retries}}}
    return {"id": slug, "name": name, "triggers": triggers or [{"event": f"{app}/{name}"}], "steps": steps, **more}


def register(platform: Platform, app: str, url: str, functions: list[Json]) -> Json:
    body = {
        "v": "0.1",
        "url": url,
        "deployType": "ping",
        "sdk": "raw:v1",
        "framework": "",
        "appName": app,
        "functions": functions,
    }
    response = platform.http.post("/fn/register", json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "hello"}}],
    "id": "chatcmpl-1",
    "model": "gpt-test",
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def upstream_answer(request: Request) -> Answer:
    """A fake model provider and an echo service."""
    if request.path == "/v1/chat/completions":
        return Answer(200, ANSWER, {"content-type": "application/json"})
    if request.path == "/echo":
        echo = {"method": request.method, "path": request.path, "query": request.query, "body": request.body.decode()}
        return Answer(200, echo, {"content-type": "application/json"})
    if request.path.startswith("/broken"):
        return Answer(529, {"error": "overloaded"}, {"content-type": "application/json"})
    return Answer(404, b"nothing here", {"content-type": "text/plain"})


class Listener:
    """A function that hears every `inngest/function.*` event of a server."""

    NAMES = ("finished", "failed", "cancelled")

    def __init__(self, platform: Platform, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        triggers = [{"event": f"inngest/function.{name}"} for name in self.NAMES]
        config = function_config("listener", "listen", f"{endpoint.url}/listen", triggers=triggers)
        register(platform, "listener", f"{endpoint.url}/listen", [config])

    def heard(self, run_id: str) -> dict[str, Json]:
        """What was said of a run: {"finished": event, …}."""
        events = [request.json["event"] for request in self.endpoint.requests]
        mine = [event for event in events if event["data"].get("run_id") == run_id]
        return {event["name"].removeprefix("inngest/function."): event for event in mine}

    def wait(self, run_id: str, *names: str) -> dict[str, Json]:
        """Wait for exactly these events of a run."""
        wait_until(lambda: set(names) <= set(self.heard(run_id)), 10, f"{names} of run {run_id}")
        heard = self.heard(run_id)
        assert set(heard) == set(names)
        return heard
