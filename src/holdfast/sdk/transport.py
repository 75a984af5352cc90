"""Requests to a server: one HTTP client per event loop, one for code without a loop, made when first needed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from holdfast.protocol.signing import hash_signing_key
from holdfast.sdk.consts import HeaderKey, Identity
from holdfast.sdk.errors import RequestFailedError

if TYPE_CHECKING:
    import httpx

_REFUSED: Final = (401, 403)


def headers_of(
    identity: Identity, env: str | None, framework: str | None = None, server_kind: str | None = None
) -> dict[str, str]:
    """Return the headers that all requests and answers carry."""
    found = {
        HeaderKey.CONTENT_TYPE.value: "application/json",
        HeaderKey.SDK.value: identity.header,
        HeaderKey.REQUEST_VERSION.value: "2",
        HeaderKey.USER_AGENT.value: identity.header,
    }
    if env is not None:
        found[HeaderKey.ENV.value] = env
    if framework is not None:
        found[HeaderKey.FRAMEWORK.value] = framework
    if server_kind is not None:
        found[HeaderKey.EXPECTED_SERVER_KIND.value] = server_kind
    return found


class Transport:
    """Sends requests, authorised by the signing key, else by the fallback key. Times are in seconds."""

    def __init__(self, signing_key: str | None, fallback_key: str | None, timeout_s: float) -> None:
        self._keys = [key for key in (signing_key, fallback_key) if key is not None]
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._sync: httpx.Client | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def send(
        self, method: str, url: str, *, headers: dict[str, str], content: bytes | None = None, auth: bool = True,
        sync: bool = False, timeout_s: float | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Send a request; raise RequestFailedError if no answer came. With `sync`, block instead of awaiting."""
        import httpx  # noqa: PLC0415 - slow to import

        limit = timeout_s or self.timeout_s
        response = None
        keys: list[str | None] = [*self._keys] if auth and self._keys else [None]
        for key in keys:
            given = headers if key is None else {**headers, "authorization": f"Bearer {hash_signing_key(key)}"}
            try:
                if sync:
                    response = self._blocking().request(method, url, headers=given, content=content, timeout=limit)
                else:
                    client = self._awaiting()
                    response = await client.request(method, url, headers=given, content=content, timeout=limit)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise RequestFailedError(f"Failed request to {url}: {error or type(error).__name__}") from error
            if response.status_code not in _REFUSED:
                break
        assert response is not None
        return response

    async def close(self) -> None:
        """Close the connections of this loop, and those of code without a loop."""
        client = self._by_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close_sync()

    def close_sync(self) -> None:
        """Close the connections of code without a loop."""
        with self._lock:
            client, self._sync = self._sync, None
        if client is not None:
            client.close()

    def _blocking(self) -> httpx.Client:
        import httpx  # noqa: PLC0415 - slow to import

        with self._lock:
            if self._sync is None:
                self._sync = httpx.Client()
            return self._sync

    def _awaiting(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - slow to import

        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._by_loop.get(loop)
            if client is None:
                self._by_loop = {each: kept for each, kept in self._by_loop.items() if not each.is_closed()}
                client = self._by_loop[loop] = httpx.AsyncClient()
            return client
