"""`POST /fn/register` (`protocol/execution.md` §1.6): the SDK's side of a sync."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.functions import RegistrationError
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.runtime.apps import Apps, Refused
from holdfast.server.store.store import StoreError

_MAX_BODY = 16 * 1024 * 1024


def routes(apps: Apps, server_kind: str) -> list[Route]:
    """The registration route."""

    async def register(request: Request) -> Response:
        expected = request.headers.get("x-inngest-expected-server-kind")
        if expected and expected != server_kind:
            return json_response({"error": f"Expected server kind {server_kind}, got {expected}"}, 400)
        body = await request.body()
        if len(body) > _MAX_BODY:
            return json_response({"error": f"Invalid request: larger than {_MAX_BODY} bytes"}, 413)
        try:
            done = apps.register(body)
            await apps.saved()
            return json_response(done)
        except RegistrationError as error:
            return json_response({"error": str(error)}, 400)
        except Refused as refused:
            answer: dict[str, object] = {"error": str(refused), "data": None, "status": 400}
            return json_response({"code": refused.code, **answer} if refused.code else answer, 400)
        except StoreError:
            return public_error(503, "The app could not be stored; try again")

    return [ApiRoute("/fn/register", register, methods=["POST"])]
