"""A whole server in one process, as an ASGI application with a life: start, drain, close."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Final

import structlog

from holdfast.server.api.common import browsers
from holdfast.server.api.common.asgi import RETRY_AFTER, Message, Receive, Scope, Send
from holdfast.server.app.apis import Apis
from holdfast.server.app.parts import AnyStorage, Execution, Storage, Telemetry, make_access
from holdfast.server.clock import Clock
from holdfast.server.config import Config
from holdfast.server.drivers.driver import Driver
from holdfast.server.service import Service
from holdfast.server.store.store import StoreError, settled
from holdfast.server.telemetry.settings import read_settings
from holdfast.server.webhooks.registry import Webhooks

log = structlog.get_logger(__name__)


class Server:
    """Storage, execution, access, telemetry and APIs, joined. Made on a running event loop.

    Args:
        config: What the server was told.
        storage: Where it keeps its rows; None: in the files that `config` names.
        clock: What tells the time of runs; None: the wall clock.
        drivers: More ways to call user code, by the scheme of the app's URL.
        environ: The `OTEL_*` variables.

    """

    def __init__(
        self,
        config: Config,
        *,
        storage: AnyStorage | None = None,
        clock: Clock | None = None,
        drivers: Mapping[str, Driver] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.config = config
        sending = read_settings(environ)  # may refuse, so before anything is opened
        self._storage = storage = storage or Storage(config)
        self._execution = execution = Execution(config, storage, clock, drivers or {})
        telemetry = Telemetry(config, storage, execution, sending)
        self.store, self.history, self.disk = storage.store, storage.history, storage.disk
        self.partition, self.dispatcher = execution.partition, execution.dispatcher
        self.apps, self.realtime, self.ids = execution.apps, execution.realtime, execution.ids
        self.activity = execution.activity
        self.gateway = execution.gateway
        self.traces_out = telemetry.traces_out
        self.webhooks = Webhooks(execution.partition.records, execution.ids)
        self.webhooks.load()
        self.access = make_access(config, storage, execution)
        self.service = Service(
            config, execution.router, execution.apps, execution.syncer, storage.history, execution.settings,
            telemetry.metadata, execution.keys, self.webhooks, execution.ids, execution.gateway,
        )  # fmt: skip
        if self.access.guarded:
            self.service.audit = self.webhooks.audit = self.access.audit
        self.apis = Apis(config, storage, execution, telemetry, self.access, self.service)
        self.readiness = self.apis.readiness

    async def start(self) -> None:
        """Recover what was committed, and begin to work."""
        await settled(self.partition.recover())
        self.gateway.history.load()
        if self.traces_out is not None:
            self.traces_out.start()
        self.access.start()
        self._execution.retention.start()
        self.disk.start()
        self.readiness.phase = "running"
        config, dev = self.config, self.config.kind == "dev"
        if self.access.guarded:
            _warn_of_short_keys(config)
        self._execution.syncer.start(config.sdk_urls, poll=dev and config.poll, discover=dev and config.discovery)

    async def drain(self, patience: float) -> None:
        """Makes no more calls, and waits for those under way: `/ready` says so, the other routes go on."""
        self.readiness.phase = "draining"
        self.gateway.drain()
        log.info("draining", calls=self.dispatcher.in_flight, timeout_s=patience)
        left = await self.dispatcher.drain(patience)
        with contextlib.suppress(StoreError):
            await self.partition.committed()
        log.info("drained", calls_left=left)

    def closing(self) -> None:
        """Tell those who follow topics, and workers, that the server is about to stop."""
        self.realtime.close()
        self.apis.activity.close()
        self.gateway.dismiss()

    async def close(self) -> None:
        """Stops: what was accepted is committed, calls in flight are made again after the next start.

        From the last line up; a part that fails keeps none of the others from ending.
        """
        async with contextlib.AsyncExitStack() as parts:
            parts.push_async_callback(self._storage.close)
            parts.callback(self.access.close)
            parts.callback(self.apis.close)
            if self.traces_out is not None:
                parts.push_async_callback(self.traces_out.close)
            parts.push_async_callback(self._execution.close)
            parts.callback(self.disk.close)
            parts.push_async_callback(self.apis.end_sessions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: events on a bare route, everything else through Starlette."""
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].startswith("/e/")
            and len(scope["path"]) > 3
        ):
            await self.apis.events(scope, receive, self._last(send) if self.readiness.phase == "draining" else send)
            return
        await self.apis.cold(scope, receive, self._with_kind(send))

    @staticmethod
    def _last(send: Send) -> Send:
        """Has a client's connection end with this answer, so that it turns to another server."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        return sending

    def _with_kind(self, send: Send) -> Send:
        if self.readiness.phase == "draining":
            send = self._last(send)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*browsers.guarded(list(message.get("headers", ()))), self.apis.kind_header]
                if message["status"] == 503 and not any(name == b"retry-after" for name, _ in headers):
                    headers.append(RETRY_AFTER)
                message["headers"] = headers
            await send(message)

        return sending


def _warn_of_short_keys(config: Config) -> None:
    """Tell of keys that can be guessed: they are what keeps strangers out."""
    keys = {
        "--event-key": config.event_keys, "--signing-key": (config.signing_secret,),
        "--signing-key-fallback": (config.signing_key_fallback,),
    }  # fmt: skip
    for option, given in keys.items():
        if any(0 < len(key) < _SHORT_KEY for key in given):
            log.warning("a key is short and could be guessed; generate one: openssl rand -hex 32", option=option)


#: Characters of a key that are too few: 64 bits in hex.
_SHORT_KEY: Final = 16
