"""`POST /fn/register` (`protocol/execution.md` §1.6): the SDK's side of a sync."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.functions import RegistrationError
from holdfast.server.runtime.apps import Apps, Refused
from holdfast.server.store.store import StoreError

_MAX_BODY = 16 * 1024 * 1024


def routes(apps: Apps, server_kind: str) -> list[Route]:
    """The registration route."""

    async def register(request: Request) -> Response:
        expected = request.headers.get("x-inngest-expected-server-kind")
        if expected and expected != server_kind:
            return _json(400, {"error": f"Expected server kind {server_kind}, got {expected}"})
        body = await request.body()
        if len(body) > _MAX_BODY:
            return _json(413, {"error": f"Invalid request: larger than {_MAX_BODY} bytes"})
        try:
            return _json(200, apps.register(body))
        except RegistrationError as error:
            return _json(400, {"error": str(error)})
        except Refused as refused:
            return _public(400, str(refused), refused.code)
        except StoreError:
            return _public(500, "The app could not be stored; try again")

    return [Route("/fn/register", register, methods=["POST"])]


def _public(status: int, message: str, code: str = "") -> Response:
    error: dict[str, object] = {"error": message, "data": None, "status": status}
    return _json(status, {"code": code, **error} if code else error)


def _json(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
