"""Functions of the official Python SDK (package `inngest`), called without a socket.

The SDK has no hook for time and transport, so both are replaced in its client and its modules while a test runs: events
that functions send come to the engine, and `step.sleep` counts from the virtual clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import inngest
import msgspec
from inngest._internal import comm_lib, const, server_lib, transforms
from inngest._internal.comm_lib import handler as handler_module

from holdfast.testing.apps import ORIGIN, App, Host, Reply
from holdfast.testing.replaced import AsyncTransport, Replaced, SyncTransport, sdk_modules


def official_app(functions: Sequence[object], client: object | None) -> App:
    """Return an app of functions that the official SDK made. Without a client one is made up, without middleware."""
    known: list[inngest.Function[Any]] = [function for function in functions if isinstance(function, inngest.Function)]
    names = {function.id.removesuffix(f"-{function.local_id}") for function in known}
    if len(names) != 1:
        raise ValueError(f"one TestEngine runs one app; these functions belong to {', '.join(sorted(names))}")
    (name,) = names
    if client is None:
        client = inngest.Inngest(app_id=name, is_production=False)
    if not isinstance(client, inngest.Inngest):
        raise TypeError(f"client must be the `inngest.Inngest` that made the functions, not {client!r}")
    if client.app_id != name:
        raise ValueError(f"the functions belong to the app {name!r}, the client to {client.app_id!r}")
    return OfficialApp(client, known)


class OfficialApp:
    """An app of the official SDK (`holdfast.testing.apps.App`)."""

    def __init__(self, client: inngest.Inngest, functions: Sequence[inngest.Function[Any]]) -> None:
        self._client = client
        self._functions = list(functions)
        self._replaced = Replaced()
        self._handler: comm_lib.CommHandler | None = None
        self.name = client.app_id
        self.url = f"{ORIGIN}/api/inngest"

    def attach(self, host: Host) -> None:
        """Have the client send to the engine, unsigned, and the SDK read the virtual clock."""
        kind = server_lib.ServerKind.DEV_SERVER
        self._replaced.set(self._client, "_mode", kind)
        self._replaced.set(self._client, "is_production", False)
        http = self._client._http_client  # noqa: SLF001 - as all that is replaced here
        for client, transport in (
            (http._http_client, AsyncTransport(host)),  # noqa: SLF001
            (http._http_client_sync, SyncTransport(host)),  # noqa: SLF001
        ):
            self._replaced.set(client, "_transport", transport)
            self._replaced.set(client, "_mounts", {})
        self._replaced.tell_time(host.clock, *sdk_modules())
        self._handler = comm_lib.CommHandler(
            client=self._client, enable_unauthed_sync=None, framework=server_lib.Framework.FAST_API,
            functions=self._functions, streaming=const.Streaming.DISABLE,
        )  # fmt: skip

    def registration(self) -> bytes:
        """Return what the SDK would post to `/fn/register`."""
        configs = handler_module.get_function_configs(self.url, {f.id: f for f in self._functions})
        if isinstance(configs, Exception):
            raise configs
        body = server_lib.SynchronizeRequest(
            app_name=self._client.app_id, app_version=self._client.app_version,
            deploy_type=server_lib.DeployType.PING, framework=server_lib.Framework.FAST_API, functions=configs,
            sdk=f"{const.LANGUAGE}:v{const.VERSION}", url=self.url, v="0.1",
        ).to_dict()  # fmt: skip
        if isinstance(body, Exception):
            raise body
        return msgspec.json.encode(transforms.deep_strip_none(body))

    async def call(self, slug: str, step: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Call a function through the handler that all framework modules of the SDK share."""
        assert self._handler is not None, "attach() comes first"
        query = {"fnId": slug, "stepId": step or "step"}
        request = comm_lib.CommRequest(
            body=body, headers=dict(headers), public_path=None, query_params=query, raw_request=None,
            request_url=self.url, serve_origin=None, serve_path=None,
        )  # fmt: skip
        answer = await self._handler.post(request)
        content = answer.body_bytes()
        if isinstance(content, Exception):
            answer = comm_lib.CommResponse.from_error(self._client.logger, content)
            content = msgspec.json.encode(answer.body)
        return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, content)

    def detach(self) -> None:
        """Give client and modules back as they were; ends the SDK's threads."""
        self._replaced.undo()
        pool = self._handler._thread_pool if self._handler is not None else None  # noqa: SLF001
        if pool is not None:
            pool.shutdown(wait=False)
