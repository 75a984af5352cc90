"""`/v1/checkpoint/{run}/async` (`protocol/execution.md` §5.2): steps that a call reports while it is still open."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.limits import MAX_RESPONSE
from holdfast.protocol.opcodes import OpcodeError, parse_ops
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.engine.checkpoints import CheckpointError
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.store.store import StoreError


class _Async(msgspec.Struct):
    run_id: str
    steps: Raw = Raw(b"[]")
    fn_id: str = ""
    qi_id: str = ""
    generation_id: int = 0
    request_id: str = ""


def routes(partition: Partition) -> list[Route]:
    """The checkpoint routes of runs that the server drives."""

    async def save(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_RESPONSE:
            return _refusal(413, "request body is larger than 8 MiB")
        try:
            given = msgspec.json.decode(body, type=_Async)
            ops = parse_ops(bytes(given.steps)) if bytes(given.steps) not in (b"[]", b"null") else []
        except (*UNREADABLE, OpcodeError) as error:
            return _refusal(400, f"invalid request body: {error}")
        try:
            await partition.submit_run(
                given.run_id, lambda engine, run, now: engine.on_checkpoint(run, ops, given.qi_id, now)
            )
        except NotAliveError:
            return _refusal(400, "run not found in state store", given.run_id)
        except CheckpointError as error:
            return _refusal(error.status, str(error), given.run_id)
        except StoreError:
            return _refusal(503, "the steps could not be stored; try again", given.run_id)
        return Response(status_code=200)

    paths = ("/v1/checkpoint/{run_id}/async", "/v1/http/runs/{run_id}/async")
    return [Route(path, save, methods=["POST"]) for path in paths]


def _refusal(status: int, text: str, run_id: str = "") -> Response:
    return public_error(status, text, {"run_id": run_id} if run_id else None)
