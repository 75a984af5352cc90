"""The composition root: the one place that knows all parts."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterable

import structlog
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.protocol.ids import UlidSource
from holdfast.protocol.limits import CALL_TIMEOUT_S, MAX_BODY
from holdfast.server.access.access import Access
from holdfast.server.access.commands import SERVER, WEBHOOKS, guard
from holdfast.server.access.keys import Keys
from holdfast.server.access.oidc import Oidc
from holdfast.server.access.options import OidcOptions
from holdfast.server.access.options import Options as AccessOptions
from holdfast.server.api import (
    access,
    cancellations,
    checkpoints,
    connect,
    devtools,
    errors,
    functions,
    home,
    invoke,
    login,
    operations,
    realtime,
    register,
    rest_v0,
    rest_v1,
    telemetry,
    webhooks,
    why,
)
from holdfast.server.api.asgi import BodyLimit, Message, Receive, Scope, Send
from holdfast.server.api.auth import Guard
from holdfast.server.api.debug import Debug
from holdfast.server.api.endpoints import Endpoints
from holdfast.server.api.events import EventApi
from holdfast.server.api.graphql import GraphQLApi
from holdfast.server.api.mcp.http import McpApi
from holdfast.server.api.metrics import Metrics
from holdfast.server.api.metrics import Sources as MetricSources
from holdfast.server.api.openapi import http as openapi
from holdfast.server.api.ready import Readiness
from holdfast.server.api.rest_v2 import http as rest_v2
from holdfast.server.api.tokens import Tokens
from holdfast.server.config import Config
from holdfast.server.config.sources import masked
from holdfast.server.drivers.http import HttpClient
from holdfast.server.engine.core import Settings
from holdfast.server.engine.engine import Engine
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.disk import Disk
from holdfast.server.runtime.dispatcher import Dispatcher
from holdfast.server.runtime.partition import Partition, now_ms
from holdfast.server.runtime.retention import Policy, Retention
from holdfast.server.runtime.syncer import Syncer
from holdfast.server.runtime.tally import FunctionCounts
from holdfast.server.service import Service
from holdfast.server.store.sqlite import lock
from holdfast.server.store.sqlite.history import SqliteHistory
from holdfast.server.store.sqlite.readers import Readers
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError
from holdfast.server.telemetry.exporter import TraceExporter
from holdfast.server.telemetry.metadata import MetadataLog
from holdfast.server.telemetry.settings import read_settings
from holdfast.server.telemetry.spans import UserSpans
from holdfast.server.webhooks.registry import Webhooks

log = structlog.get_logger(__name__)

CORS_HEADERS = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"Link, Mcp-Session-Id")]


class Server:
    """A whole server in one process: store, engine, dispatcher, syncer and APIs. Made on a running event loop."""

    def __init__(self, config: Config) -> None:
        self.config = config
        sending = read_settings(os.environ)
        self._lock = lock.hold(config.database) if config.database else None
        self.store = SqliteStore(config.database, "full" if config.persist else "none")
        self.ids = UlidSource(secrets.randbits)
        settings = Settings(
            workers=config.workers, retry_interval_ms=config.retry_interval * 1_000,
            cron_catch_up=config.catch_up, cron_catch_ups=config.catch_ups,
        )  # fmt: skip
        self.settings = settings
        self.partition = Partition(
            lambda epoch: Engine(self.ids, random.SystemRandom().randrange, settings, epoch), self.store
        )
        self.client = HttpClient(total_timeout=CALL_TIMEOUT_S)
        self.keys = _keys(config, self.partition, self.store, self.ids)
        self.realtime = Broadcaster()
        self.dispatcher = Dispatcher(self.partition, self.client, self.ids, self.keys.signers, self.realtime)
        self.partition.performer = self.dispatcher
        self.apps = Apps(self.partition)
        self.syncer = Syncer(
            self.apps, self.client, server_kind=config.kind, signers=self.keys.signers,
            interval=config.poll_interval,
        )  # fmt: skip
        self.history = SqliteHistory(self.store.path)
        self.traces_out = TraceExporter(sending, self.history) if sending is not None else None
        if self.traces_out is not None:
            self.partition.on_end = self.traces_out.ended
        self.retention = Retention(self.partition, self.history.readers, _policy(config))
        self.disk = Disk(self.store.path)
        metadata = MetadataLog(
            self.partition, self.history.readers, lambda: self.ids.next(now_ms()), enabled=config.step_metadata
        )
        self.webhooks = Webhooks(self.partition, self.ids)
        self.webhooks.load(self.store.select)
        self.service = Service(
            config, self.partition, self.apps, self.syncer, self.history, settings, metadata, self.keys, self.webhooks
        )
        self._graphql = GraphQLApi(self.service)
        self._tokens = Tokens(self.keys.token_secret)
        self.access = _access(config, self.keys, self.partition, self.ids, self.history.readers)
        self.access.load(self.store.select)
        if self.access.guarded:
            guard(self.service, SERVER, self.access.audit)
            guard(self.webhooks, WEBHOOKS, self.access.audit)
        self._endpoints = Endpoints(self.partition, self.apps, self.history, self._tokens, self.service.new_id)
        self._server_kind = [(b"x-inngest-server-kind", config.kind.encode())]
        self._events = EventApi(self.partition, self.keys, [*self._server_kind, *CORS_HEADERS])
        self.readiness = Readiness(self._trouble, lambda: self.history.readers.select("meta.get", ("",)))
        self._metrics = self._make_metrics()
        self._debug = Debug(self.partition, self._metrics, masked(config))
        self._mcp = McpApi(self.service)
        self._cold = Guard(BodyLimit(self._starlette(), MAX_BODY), self.access, login=config.ui)

    def start(self) -> None:
        """Recovers what was committed, and begins to work."""
        self.apps.load()
        self.partition.recover()
        if self.traces_out is not None:
            self.traces_out.start()
        self.access.start()
        self.retention.start()
        self.disk.start()
        dev = self.config.kind == "dev"
        self.readiness.phase = "running"
        self.syncer.start(self.config.sdk_urls, poll=dev and self.config.poll, discover=dev and self.config.discovery)

    def _make_metrics(self) -> Metrics:
        config = self.config
        if config.function_metrics:
            self.partition.tally.functions = FunctionCounts()
        self.dispatcher.verbose = config.verbose or config.log_level in {"debug", "trace"}
        return Metrics(
            MetricSources(
                self.partition, self.dispatcher, self.apps, self.disk, lambda: self.readiness.phase, config.version,
                config.kind, config.workers,
            )
        )  # fmt: skip

    def _trouble(self) -> str:
        trouble = self.partition.trouble
        return str(trouble) if trouble is not None else "the database file is gone" if self.disk.gone else ""

    async def drain(self, patience: float) -> None:
        """Makes no more calls, and waits for those under way: `/ready` says so, the other routes go on."""
        self.readiness.phase = "draining"
        log.info("draining", calls=self.dispatcher.in_flight, timeout_s=patience)
        left = await self.dispatcher.drain(patience)
        with contextlib.suppress(StoreError):
            await self.partition.committed()
        log.info("drained", calls_left=left)

    def closing(self) -> None:
        """Tells those who follow topics that the server is about to stop."""
        self.realtime.close()

    async def close(self) -> None:
        """Stops: what was accepted is committed, calls in flight are made again after the next start."""
        await self._mcp.close()
        await self.syncer.close()
        await self.retention.close()
        self.disk.close()
        await self.partition.close()
        await self.dispatcher.close()
        await self.client.close()
        if self.traces_out is not None:
            await self.traces_out.close()
        self._graphql.close()
        self.access.close()
        self.history.close()
        self.store.close()
        if self._lock is not None:
            os.close(self._lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: events on a bare route, everything else through Starlette."""
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].startswith("/e/")
            and len(scope["path"]) > 3
        ):
            await self._events(scope, receive, self._last(send) if self.readiness.phase == "draining" else send)
            return
        await self._cold(scope, receive, self._with_kind(send))

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
                message["headers"] = [*message.get("headers", ()), *self._server_kind]
            await send(message)

        return sending

    def _starlette(self) -> Starlette:
        app = Starlette(routes=list(self._routes()), exception_handlers=errors.HANDLERS)
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
            allow_headers=["*"], expose_headers=["Link", "Mcp-Session-Id"], max_age=3600,
        )  # fmt: skip
        return app

    def _routes(self) -> Iterable[BaseRoute]:
        yield Route("/health", _health, methods=["GET"])
        yield from self.readiness.routes()
        yield from self._metrics.routes()
        yield from self._debug.routes()
        yield Route("/e/{key}", _only_post, methods=["GET", "PUT", "PATCH", "DELETE"])
        yield from register.routes(self.apps, self.config.kind)
        yield from checkpoints.routes(self.partition)
        yield from self._endpoints.routes()
        yield from realtime.routes(self.realtime, self._tokens, self.keys, self.service.new_id)
        yield from invoke.routes(self.partition)
        yield from rest_v0.routes(self.service)
        yield from rest_v1.routes(self.service)
        yield from telemetry.routes(self.service, UserSpans(self.partition, self.history.readers))
        for module in (cancellations, functions, why):
            yield from module.routes(self.service)
        yield from webhooks.routes(self.service)
        yield from self._mcp.routes()
        yield from operations.routes()
        yield from openapi.routes(self.config.version)
        yield from rest_v2.routes(self.service)
        yield from devtools.routes(self.service, test_mode=self.config.test_mode)
        yield from access.routes(self.access)
        if self.config.ui:
            oidc = self.access.options.oidc
            yield from login.Login(self.access, Oidc(self.access, oidc) if oidc.issuer else None).routes()
            yield from home.routes(self.service)
            yield from self._graphql.routes()
        yield from connect.routes(self.config.gateway_port, self.keys.token_secret, self.service.new_id)


def _keys(config: Config, partition: Partition, store: SqliteStore, ids: UlidSource) -> Keys:
    made = Keys(partition, ids, event_keys=config.event_keys, signing_key=config.signing_secret,
                signing_key_fallback=config.signing_key_fallback)  # fmt: skip
    made.load(store.select)
    return made


def _access(config: Config, keys: Keys, partition: Partition, ids: UlidSource, readers: Readers) -> Access:
    oidc = OidcOptions(
        config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret, config.oidc_scopes,
        config.oidc_role_claim, config.oidc_roles, config.oidc_default_role, config.oidc_domains,
    )  # fmt: skip
    options = AccessOptions(
        int(config.session_idle * 1_000), int(config.session_lifetime * 1_000), config.admin_user,
        config.admin_password, config.allowed_hosts, oidc,
    )  # fmt: skip
    return Access(keys, partition, ids, readers, options)


def _policy(config: Config) -> Policy:
    return Policy.of(config.retention, config.retention_runs, config.audit_retention)


async def _only_post(_: Request) -> Response:
    return Response(status_code=405)


async def _health(_: Request) -> Response:
    return Response(b'{"status":200,"message":"OK"}\n', media_type="application/json")
