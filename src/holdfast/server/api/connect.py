"""`POST /v0/connect/start` (`protocol/connect.md` §3): where a worker is told which gateway to dial.

SDK helpers take its 200 for "the server is up". Five string fields don't earn a protobuf runtime: the gateway will
bring one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.protocol.protobuf import varint
from holdfast.server.api import tokens

_GROUP = "gw-dev"
_SESSION_S = 300
_MAX_BODY = 1024 * 1024


def routes(gateway_port: int, secret: str, new_id: Callable[[], str]) -> list[Route]:
    """The handshake's first request. `secret` signs the session token that the gateway will ask for."""

    async def start(request: Request) -> Response:
        if len(await request.body()) > _MAX_BODY:
            return Response("request body is larger than 1 MiB", 413)
        connection_id, now = new_id(), int(time.time())
        claims = {
            "iss": "connect.inngest.com", "aud": ["gateway.connect.inngest.com"], "sub": ACCOUNT_ID, "env": ENV_ID,
            "iat": now, "exp": now + _SESSION_S, "jti": new_id(), "entitlements": {"appsPerConnection": 100},
        }  # fmt: skip
        bearer = request.headers.get("authorization", "")[7:]
        endpoint = f"ws://{_host(request.headers.get('host', 'localhost'))}:{gateway_port}/v0/connect"
        fields = (connection_id, endpoint, _GROUP, tokens.issue(claims, secret), bearer)
        return Response(encode_strings(fields), media_type="application/octet-stream")

    return [Route("/v0/connect/start", start, methods=["POST"])]


def encode_strings(fields: tuple[str, ...]) -> bytes:
    """A protobuf message of string fields 1, 2, 3 …; empty ones are left out."""
    parts: list[bytes] = []
    for number, text in enumerate(fields, 1):
        raw = text.encode()
        if raw:
            parts += (varint(number << 3 | 2), varint(len(raw)), raw)
    return b"".join(parts)


def _host(header: str) -> str:
    """The host of a Host header; an IPv6 literal keeps its brackets."""
    return header[: header.index("]") + 1] if header.startswith("[") and "]" in header else header.partition(":")[0]
