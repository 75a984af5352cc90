"""Speaks ASGI to an application, on a loop of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp


@dataclass
class Response:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.address = "test"
        self.loop = asyncio.Runner()

    def close(self) -> None:
        self.loop.close()

    def get(self, path: str, **more: Any) -> Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> Response:
        return self.request("POST", path, **more)

    def delete(self, path: str, **more: Any) -> Response:
        return self.request("DELETE", path, **more)

    def request(
        self, method: str, path: str, *, json: Any = None, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        headers = dict(headers or {})
        if json is not None:
            content = dumps(json)
            headers.setdefault("content-type", "application/json")
        return self.loop.run(self._request(method, path, content, headers))

    async def _request(self, method: str, url: str, content: bytes, headers: dict[str, str]) -> Response:
        path, _, query = url.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "scheme": "http",
            "server": ("test", 80),
            "client": (self.address, 1),
            "root_path": "",
        }
        sent: list[MutableMapping[str, Any]] = []
        whole = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal whole
            if whole:
                await asyncio.Event().wait()  # this client stays
            whole = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start = sent[0]
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Response(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body)


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
