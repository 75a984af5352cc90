"""The APIs over the parts: one route for events, bare, and all the others through Starlette, behind the guard."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.server.access.access import Access
from holdfast.server.access.oidc import Oidc
from holdfast.server.access.policy import most_body
from holdfast.server.api.common import error_bodies
from holdfast.server.api.common.asgi import BodyLimit
from holdfast.server.api.common.auth import Guard, foreign
from holdfast.server.api.common.jwt import Tokens
from holdfast.server.api.common.routing import ApiRoute, EscapedPaths
from holdfast.server.api.graphql import GraphQLApi
from holdfast.server.api.operators import devtools, live_socket, login, operation_list, ui_files
from holdfast.server.api.operators.debug import Debug
from holdfast.server.api.operators.mcp.mcp_routes import McpApi
from holdfast.server.api.operators.metrics import Metrics
from holdfast.server.api.operators.metrics import Sources as MetricSources
from holdfast.server.api.operators.readiness import Readiness
from holdfast.server.api.rest.openapi import openapi_routes as openapi
from holdfast.server.api.rest.v0 import export_routes
from holdfast.server.api.rest.v0.access_routes import routes as access_routes
from holdfast.server.api.rest.v0.activity_feed import ActivityApi
from holdfast.server.api.rest.v1 import cancellation_routes, function_routes, run_routes, why_routes
from holdfast.server.api.rest.v2 import operation_routes as rest_v2
from holdfast.server.api.sdk import (
    checkpoint_routes,
    connect_routes,
    invocation,
    realtime,
    run_state,
    sync,
    telemetry_routes,
    webhook_requests,
)
from holdfast.server.api.sdk.durable_endpoints import Endpoints
from holdfast.server.api.sdk.ingest import EventApi
from holdfast.server.app.parts import AnyStorage, Execution, Telemetry
from holdfast.server.config import Config
from holdfast.server.config.sources import masked
from holdfast.server.runtime.partition import RELOADING
from holdfast.server.service import Service
from holdfast.server.store.store import DiskFullError, MissingError

_CORS_HEADERS = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"Link, Mcp-Session-Id")]


class Apis:
    """Everything that answers HTTP requests: `events` for `POST /e/{key}`, `cold` for what else there is."""

    def __init__(
        self, config: Config, storage: AnyStorage, execution: Execution, telemetry: Telemetry, access: Access,
        service: Service,
    ) -> None:  # fmt: skip
        self._config = config
        self._execution = execution
        self._access = access
        self._service = service
        self._spans = telemetry.spans
        self._export = storage.export
        self._tokens = Tokens(execution.keys.token_secret)
        self._endpoints = Endpoints(execution.partition, execution.apps, storage.history, self._tokens, service.new_id)
        self._graphql = GraphQLApi(service)
        self._mcp = McpApi(service)
        self.readiness = Readiness(lambda: _trouble(storage, execution), storage.history.ping)
        self._metrics = Metrics(
            MetricSources(
                execution.partition, execution.dispatcher, execution.apps, storage.disk, execution.retention,
                execution.realtime, telemetry.traces_out, execution.gateway, lambda: self.readiness.phase,
                config.version, config.kind, config.workers,
            )
        )  # fmt: skip
        self._debug = Debug(execution.partition, self._metrics, masked(config))
        self.kind_header = (b"x-inngest-server-kind", config.kind.encode())
        self.events = EventApi(
            execution.partition, execution.keys, execution.ids.next, [self.kind_header, *_CORS_HEADERS],
            lambda scope: foreign(scope, access.options.hosts),
        )  # fmt: skip
        self.events.tell = execution.activity.tell
        self.activity = ActivityApi(execution.activity)

    @cached_property
    def cold(self) -> EscapedPaths:
        """The routes through Starlette, made with the first request: a server within a test may get none."""
        return EscapedPaths(Guard(BodyLimit(self._starlette(), most_body), self._access, login=self._config.ui))

    async def end_sessions(self) -> None:
        """Ends the sessions of MCP."""
        await self._mcp.close()

    def close(self) -> None:
        """Ends the thread of GraphQL."""
        self._graphql.close()

    def _starlette(self) -> Starlette:
        app = Starlette(routes=list(self._routes()))
        app.router.redirect_slashes = False  # to where `Host` says, and nobody needs it
        error_bodies.add_handlers(app)
        if self._config.ui:
            ui_files.Page(self._service.info, open=not self._access.guarded, on_show=self._graphql.prepare).add_to(app)
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["*"], expose_headers=["Link", "Mcp-Session-Id"], max_age=3600,
        )  # fmt: skip
        return app

    def _routes(self) -> Iterable[BaseRoute]:
        yield from self._of_operations()
        yield from self._of_apps()
        yield from self._of_programs()
        if self._config.ui:
            yield from self._of_people()

    def _of_operations(self) -> Iterable[BaseRoute]:
        yield Route("/health", _health, methods=["GET"])
        yield from self.readiness.routes()
        yield from self._metrics.routes()
        yield from self._debug.routes()

    def _of_apps(self) -> Iterable[BaseRoute]:
        """What SDKs and senders call."""
        execution, new_id = self._execution, self._service.new_id
        yield ApiRoute("/e/{key}", self.events, methods=["POST"])  # for what is no POST: those never come here
        yield from sync.routes(execution.apps, self._config.kind)
        yield from checkpoint_routes.routes(execution.partition)
        yield from self._endpoints.routes()
        yield from realtime.routes(execution.realtime, self._tokens, execution.keys, new_id)
        yield from invocation.routes(execution.partition, execution.ids.next, execution.activity.tell)
        yield from telemetry_routes.routes(self._service, self._spans)
        yield from webhook_requests.routes(self._service, execution.activity.tell)
        yield from connect_routes.routes(
            execution.gateway, self._config.gateway_url, execution.partition.committed, new_id
        )

    def _of_programs(self) -> Iterable[BaseRoute]:
        """What scripts and assistants call."""
        for module in (run_state, run_routes, cancellation_routes, function_routes, why_routes):
            yield from module.routes(self._service)
        yield from export_routes.routes(self._export)
        yield from self.activity.routes()
        yield from self._mcp.routes()
        yield from operation_list.routes()
        yield from openapi.routes(self._config.version)
        yield from rest_v2.routes(self._service)
        yield from devtools.routes(self._service, test_mode=self._config.test_mode)
        yield from access_routes(self._access)

    def _of_people(self) -> Iterable[BaseRoute]:
        oidc = self._access.options.oidc
        yield from login.Login(self._access, Oidc(self._access, oidc) if oidc.issuer else None).routes()
        yield from self._graphql.routes()
        yield from live_socket.routes(self._execution.live)
        yield from ui_files.routes()


def _trouble(storage: AnyStorage, execution: Execution) -> str:
    """Why nothing is accepted, without names of files: anybody may ask. The log has the details."""
    trouble = execution.partition.trouble
    if isinstance(trouble, MissingError) or (trouble is None and storage.disk.missing()):
        return "the database file was moved, replaced or truncated; see the server's log"
    if trouble is None:
        return ""
    if isinstance(trouble, DiskFullError):
        return "the disk is full"
    return str(trouble) if str(trouble) == RELOADING else "the store can't be used, see the server's log"


async def _health(_: Request) -> Response:
    return Response(b'{"status":200,"message":"OK"}\n', media_type="application/json")
