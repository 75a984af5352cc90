"""The two requests of a worker to the API: where to connect, and replies whose socket is gone (`connect.md` §3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from google.protobuf.message import DecodeError

from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk.consts import HeaderKey, ServerKind
from holdfast.sdk.errors import RequestFailedError
from holdfast.sdk.transport import Transport, headers_of

if TYPE_CHECKING:
    import httpx

    from holdfast.sdk.client import Inngest

_TIMEOUT_S: Final = 10.0
_UNAUTHORIZED: Final = (401, 403)


class UnauthorizedError(RequestFailedError):
    """The server takes neither the signing key nor the fallback key."""


class GatewayApi:
    """Asks the API of a client's server. For one event loop."""

    def __init__(self, client: Inngest) -> None:
        self._client = client
        signed = client.mode is ServerKind.CLOUD  # a key is for servers in cloud mode alone
        keys = (client.signing_key, client.signing_key_fallback) if signed else (None, None)
        self._transport = Transport(*keys, _TIMEOUT_S)

    async def start(self, excluded: Sequence[str]) -> pb.StartResponse:
        """Ask where to connect. Raises UnauthorizedError, RequestFailedError."""
        response = await self._post("/v0/connect/start", pb.StartRequest(exclude_gateways=excluded).SerializeToString())
        _check(response)
        try:
            return pb.StartResponse.FromString(response.content)
        except DecodeError:
            raise RequestFailedError("the answer to /v0/connect/start can't be decoded: is this a server?") from None

    async def flush(self, reply: bytes) -> None:
        """Hand a reply in. Raises RequestFailedError, with the status if the server refused it."""
        _check(await self._post("/v0/connect/flush", reply))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _post(self, path: str, body: bytes) -> httpx.Response:
        headers = headers_of(self._client.identity, self._client.env)
        headers[HeaderKey.CONTENT_TYPE.value] = "application/protobuf"
        return await self._transport.send("POST", urljoin(self._client.api_origin, path), headers=headers, content=body)


def _check(response: httpx.Response) -> None:
    status, url = response.status_code, response.request.url
    if status in _UNAUTHORIZED:
        raise UnauthorizedError(f"unauthorized: {url} answered {status}; check the signing key", status)
    if status != 200:
        raise RequestFailedError(f"HTTP {status} from {url}: {response.text[:500]}", status)
