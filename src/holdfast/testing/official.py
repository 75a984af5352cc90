"""Functions of the official Python SDK (package `inngest`), called without a socket.

The SDK has no hook for time and transport, so both are replaced in its client and its modules while a test runs: events
that functions send come to the engine, and `step.sleep` counts from the virtual clock.
"""

from __future__ import annotations

import datetime as dt
import time as real_time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import inngest
import msgspec
from inngest._internal import comm_lib, const, errors, server_lib, transforms
from inngest._internal.client_lib import client as client_module
from inngest._internal.comm_lib import handler as handler_module
from inngest._internal.step_lib import step_async, step_sync

from holdfast.testing.apps import ORIGIN, App, Exchange, Host, Reply
from holdfast.testing.clock import VirtualClock

#: Clocks of the engines that run, the newest last: it tells the time of all calls.
_clocks: list[VirtualClock] = []


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
        self._undo: list[tuple[object, str, object]] = []
        self._clock: VirtualClock | None = None
        self._handler: comm_lib.CommHandler | None = None
        self.name = client.app_id
        self.url = f"{ORIGIN}/api/inngest"

    def attach(self, host: Host) -> None:
        """Have the client send to the engine, unsigned, and the SDK read the virtual clock."""
        kind = server_lib.ServerKind.DEV_SERVER
        self._set(self._client, "_mode", kind)
        self._set(self._client, "is_production", False)
        http = self._client._http_client  # noqa: SLF001 - as all that is replaced here
        for client, transport in (
            (http._http_client, _AsyncTransport(host)),  # noqa: SLF001
            (http._http_client_sync, _SyncTransport(host)),  # noqa: SLF001
        ):
            self._set(client, "_transport", transport)
            self._set(client, "_mounts", {})
        for module in (step_async, step_sync, errors):
            self._set(module, "datetime", _DATETIME)
        self._set(client_module, "time", _TIME)
        self._clock = host.clock
        _clocks.append(host.clock)
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
        while self._undo:
            owner, name, value = self._undo.pop()
            setattr(owner, name, value)
        if self._clock is not None:
            _clocks.remove(self._clock)
            self._clock = None
        pool = self._handler._thread_pool if self._handler is not None else None  # noqa: SLF001
        if pool is not None:
            pool.shutdown(wait=False)

    def _set(self, owner: object, name: str, value: object) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)


# --- transport --------------------------------------------------------------------------------------------------------


def _exchange(request: httpx.Request, body: bytes) -> Exchange:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Exchange(request.method, request.url.raw_path.decode(), headers, body)


def _response(reply: Reply) -> httpx.Response:
    return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, host: Host) -> None:
        self._host = host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return _response(await self._host.send(_exchange(request, await request.aread())))


class _SyncTransport(httpx.BaseTransport):
    def __init__(self, host: Host) -> None:
        self._host = host

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _response(self._host.send_from_thread(_exchange(request, request.read())))


# --- time -------------------------------------------------------------------------------------------------------------


class _LikeDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, dt.datetime)

    def __getattr__(cls, name: str) -> object:
        return getattr(dt.datetime, name)


class _Datetime(metaclass=_LikeDatetime):
    """`datetime.datetime` as the SDK's modules see it: `now` is the virtual time."""

    @staticmethod
    def now(tz: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.fromtimestamp(_clocks[-1].now_ms() / 1_000, tz)


_DATETIME = SimpleNamespace(**{**vars(dt), "datetime": _Datetime})
_TIME = SimpleNamespace(**{**vars(real_time), "time": lambda: _clocks[-1].now_ms() / 1_000})
