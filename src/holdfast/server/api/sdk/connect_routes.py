"""`/v0/connect`: the way to the gateway, replies over HTTP, lists of workers (`protocol/connect.md` §3)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.parameters import read_uuid
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.connect import session
from holdfast.server.connect.gateway import Gateway
from holdfast.server.connect.roster import Group, Worker

if TYPE_CHECKING:
    from google.protobuf.message import Message

_GROUP: Final = "gw-dev"
_MAX_BODY: Final = 1024 * 1024
_PROTOBUF: Final = "application/octet-stream"
#: What a reply's app is taken to be made with that does not tell its SDK.
_SDK: Final = "inngest-connect"


def routes(
    gateway: Gateway, gateway_url: str, committed: Callable[[], Awaitable[None]], new_id: Callable[[], str]
) -> list[ApiRoute]:
    """The routes. `gateway_url` is where workers find the gateway; empty: where they found this server."""
    api = _Connect(gateway, gateway_url, committed, new_id)
    return [
        ApiRoute("/v0/connect/start", api.start, methods=["POST"]),
        ApiRoute("/v0/connect/flush", api.flush, methods=["POST"]),
        ApiRoute("/v0/connect/envs/{env}/conns", api.connections, methods=["GET"]),
        ApiRoute("/v0/connect/envs/{env}/groups/{hash}", api.group, methods=["GET"]),
    ]


class _Connect:
    def __init__(
        self, gateway: Gateway, gateway_url: str, committed: Callable[[], Awaitable[None]], new_id: Callable[[], str]
    ) -> None:
        self._gateway = gateway
        self._url = gateway_url
        self._committed = committed
        self._new_id = new_id

    async def start(self, request: Request) -> Response:
        """Tell a worker which gateway to dial, with a token for its socket."""
        body = await request.body()
        if len(body) > _MAX_BODY:
            return public_error(413, f"the request's body is larger than {_MAX_BODY} bytes")
        if self._gateway.full:
            return public_error(429, "reached max allowed connections")
        await self._gateway.load()
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - see `Gateway.load`

        from holdfast.protocol import connect_pb2 as pb  # noqa: PLC0415 - as above

        try:
            pb.StartRequest.FromString(body)  # there is one gateway: which ones to avoid is of no interest
        except DecodeError:
            return public_error(400, "could not unmarshal request: it must be a StartRequest in protobuf")
        return _protobuf(
            pb.StartResponse(
                connection_id=self._new_id(), gateway_endpoint=self._endpoint(request), gateway_group=_GROUP,
                session_token=session.issue(self._gateway.secret, self._new_id(), int(time.time())),
                sync_token=request.headers.get("authorization", "")[7:],
            )
        )  # fmt: skip

    def _endpoint(self, request: Request) -> str:
        if self._url:
            return self._url
        scheme = "wss" if request.url.scheme == "https" else "ws"
        host = _host(request.headers.get("host", "")) or "localhost"
        return f"{scheme}://{host}:{self._gateway.port}/v0/connect"

    async def flush(self, request: Request) -> Response:
        """Take a reply whose socket was lost. It is durable when this is answered."""
        body = await request.body()
        if not body:
            return public_error(400, "missing request body")
        await self._gateway.load()
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - as above

        from holdfast.protocol import connect_pb2 as pb  # noqa: PLC0415 - as above
        from holdfast.server.connect import frames  # noqa: PLC0415 - as above

        try:
            reply = pb.Reply.FromString(body)
        except DecodeError:
            return public_error(400, "could not unmarshal request: it must be an SDKResponse in protobuf")
        self._gateway.driver.reply(None, reply.request_id, frames.work(reply), frames.outcome(reply, _SDK))
        await self._committed()
        return _protobuf(pb.FlushResponse(request_id=reply.request_id))

    # --- lists --------------------------------------------------------------------------------------------------------

    async def connections(self, request: Request) -> Response:
        """The open connections, oldest first; of one app with `app_id`."""
        wanted = request.query_params.get("app_id")
        app_id = read_uuid(wanted) if wanted else None
        if wanted and app_id is None:
            return public_error(400, "app_id must be a UUID")
        workers = self._gateway.roster.workers.values()
        data = [self._connection(w) for w in workers if app_id is None or app_id in w.groups]
        return json_response({"data": data})

    def _connection(self, worker: Worker) -> dict[str, object]:
        about = worker.about
        seconds, ms = divmod(worker.heartbeat_at, 1_000)
        attributes = {"cpu_cores": about.cpu_cores, "mem_bytes": about.memory_bytes, "os": about.os}
        fields: dict[str, object] = {
            "id": worker.id, "gateway_id": self._gateway.id, "instance_id": worker.instance.id,
            "all_worker_groups": {group.app_name: group.hash for group in worker.groups.values()},
            "synced_worker_groups": {app_id: group.hash for app_id, group in worker.groups.items()},
            "status": int(worker.status), "last_heartbeat_at": _full({"seconds": seconds, "nanos": ms * 1_000_000}),
            "sdk_language": about.sdk_language, "sdk_version": about.sdk_version, "attributes": _full(attributes),
            "address": worker.address, "calls": len(worker.calls), "max_worker_concurrency": worker.limit,
        }  # fmt: skip
        return _full(fields)

    async def group(self, request: Request) -> Response:
        """The workers that run one version of an app."""
        hash = request.path_params["hash"]
        found = next((group for group in self._gateway.roster.groups() if group.hash == hash), None)
        return (
            json_response({"data": _group(found)}) if found is not None else public_error(404, "worker group not found")
        )


def _group(group: Group) -> dict[str, object]:
    about = next(iter(group.workers)).about
    optional = {"app_version": group.app_version} if group.app_version else {}
    return {
        "acct_id": ACCOUNT_ID, "env_id": ENV_ID, "app_id": group.app_id, "sync_id": group.sync_id,
        "app_name": group.app_name, "sdk_lang": about.sdk_language, "sdk_version": about.sdk_version,
        "sdk_platform": about.platform, "hash": group.hash, "fns": sorted(group.slugs),
        "created_at": format_rfc3339(group.since, fraction=True), "synced": True,
        "conns": [worker.id for worker in group.workers], **optional,
    }  # fmt: skip


def _full(fields: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is zero or empty, as the reference does."""
    return {name: value for name, value in fields.items() if value}


def _protobuf(message: Message) -> Response:
    return Response(message.SerializeToString(), media_type=_PROTOBUF)


def _host(header: str) -> str:
    """The host of a Host header; an IPv6 literal keeps its brackets."""
    return header[: header.index("]") + 1] if header.startswith("[") and "]" in header else header.partition(":")[0]
