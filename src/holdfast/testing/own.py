"""Functions of Holdfast's own SDK, called without a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from holdfast.sdk import handler, registering
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.client import Inngest
from holdfast.sdk.config import strip_none
from holdfast.sdk.consts import Framework, ServerKind
from holdfast.sdk.function import Function
from holdfast.sdk.transport import Transport
from holdfast.testing.apps import ORIGIN, App, Host, Reply
from holdfast.testing.replaced import AsyncTransport, Replaced, SyncTransport, sdk_modules


def own_app(functions: Sequence[object], client: object | None) -> App:
    """Return an app of functions that Holdfast's SDK made. Without a client one is made up, without middleware."""
    known: list[Function[Any]] = [function for function in functions if isinstance(function, Function)]
    names = {function.id.removesuffix(f"-{function.local_id}") for function in known}
    if len(names) != 1:
        raise ValueError(f"one TestEngine runs one app; these functions belong to {', '.join(sorted(names))}")
    (name,) = names
    if client is None:
        client = Inngest(app_id=name, is_production=False)
    if not isinstance(client, Inngest):
        raise TypeError(f"client must be the client that made the functions, not {client!r}")
    if client.app_id != name:
        raise ValueError(f"the functions belong to the app {name!r}, the client to {client.app_id!r}")
    return OwnApp(client, known)


class OwnApp:
    """An app of Holdfast's SDK (`holdfast.testing.apps.App`). Each step is a call: checkpoints are off."""

    def __init__(self, client: Inngest, functions: Sequence[Function[Any]]) -> None:
        self._client = client
        self._functions = list(functions)
        self._replaced = Replaced()
        self._handler: handler.CommHandler | None = None
        self.name = client.app_id
        self.url = f"{ORIGIN}/api/inngest"

    def attach(self, host: Host) -> None:
        """Have the client send to the engine, unsigned, and the SDK read the virtual clock."""
        client, replaced = self._client, self._replaced
        replaced.set(client, "_mode", ServerKind.DEV_SERVER)
        replaced.set(client, "is_production", False)
        replaced.set(client, "checkpointing", None)
        replaced.set(client, "transport", _Direct(host, client.transport.timeout_s))
        replaced.tell_time(host.clock, *sdk_modules())
        self._handler = handler.CommHandler(client=client, framework=Framework.FAST_API, functions=self._functions)

    def registration(self) -> bytes:
        """Return what the SDK would post to `/fn/register`."""
        return msgspec.json.encode(strip_none(registering.registration(self._served(), self.url)))

    async def call(self, slug: str, step: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Call a function through the handler that all framework modules of the SDK share."""
        query = {"fnId": slug, "stepId": step or "step"}
        answer = await self._served().handle("POST", CommRequest(body, headers, query, None, self.url))
        return Reply(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )

    def detach(self) -> None:
        """Give client and modules back as they were."""
        self._replaced.undo()

    def _served(self) -> handler.CommHandler:
        assert self._handler is not None, "attach() comes first"
        return self._handler


class _Direct(Transport):
    """Requests that come to the engine, from any loop and thread."""

    def __init__(self, host: Host, timeout_s: float) -> None:
        super().__init__(None, None, timeout_s)
        self._here = httpx.AsyncClient(transport=AsyncTransport(host), trust_env=False)
        self._threads = httpx.Client(transport=SyncTransport(host), trust_env=False)

    def _blocking(self) -> httpx.Client:
        return self._threads

    def _awaiting(self) -> httpx.AsyncClient:
        return self._here
