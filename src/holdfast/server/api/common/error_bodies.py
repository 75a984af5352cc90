"""The error body of `/invoke`, `/fn`, `/v0` and `/v1` (`protocol/http-apis.md` §1.4)."""

from __future__ import annotations

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from holdfast.server.access.commands import ForbiddenError
from holdfast.server.api.common.asgi import DisconnectedError, TooLargeError
from holdfast.server.api.common.routing import wrong_method
from holdfast.server.engine.engine import DefectError
from holdfast.server.store.history import TooSlowError
from holdfast.server.store.store import DiskFullError, MissingError, StoreError

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON body with the newline that streaming encoders leave."""
    return Response(_encode(value) + b"\n", status, headers, "application/json")


def public_error(status: int, message: str, data: object = None) -> Response:
    """Return the public error `{"error","data","status"}`, sent with its own status."""
    return json_response({"error": message, "data": data, "status": status}, status)


def page_not_found() -> Response:
    """Return the 404 of routes that don't exist."""
    return PlainTextResponse("404 page not found\n", 404, {"x-content-type-options": "nosniff"})


def not_stored(error: StoreError) -> str:
    """Return what a caller is told while the store is away or the state is reloaded."""
    if isinstance(error, DiskFullError):
        return "The server's disk is full; nothing was done. Try again when there is room"
    if isinstance(error, MissingError):
        return "The server's database file was moved or replaced; nothing was stored. See its log and /ready"
    return "The request could not be stored; nothing of it was done. Try again"


async def unexpected(request: Request, error: Exception) -> Response:
    """Return what a route did not foresee: as JSON with a text, like every other error. For HTTP only."""
    if request.scope["type"] != "http":
        raise error
    if isinstance(error, StoreError):
        return public_error(503, not_stored(error))
    if isinstance(error, TooSlowError):
        return public_error(503, str(error))
    if isinstance(error, ForbiddenError):
        return public_error(403, str(error))
    if isinstance(error, TooLargeError):
        refused = public_error(413, str(error))
        refused.headers["connection"] = "close"
        return refused
    if isinstance(error, (ClientDisconnect, DisconnectedError)):
        return Response(status_code=400)  # nobody reads it
    if not isinstance(error, DefectError):  # the partition told of that
        log.error("a request failed", method=request.method, path=request.url.path, exc_info=error)
    return public_error(500, "The request could not be handled, see the server's log")


async def no_route(_request: Request, _error: Exception) -> Response:
    """Return a path that nothing is at, in the reference's words for a server without UI."""
    return page_not_found()


async def no_method(request: Request, _error: Exception) -> Response:
    """Return the response to a method that a route doesn't have."""
    return wrong_method(request.scope)


def add_handlers(app: Starlette) -> None:
    """Have an application answer errors. Starlette would raise again what its own handlers take, for the log."""
    app.add_middleware(ExceptionMiddleware, handlers={Exception: unexpected})
    app.add_exception_handler(404, no_route)
    app.add_exception_handler(405, no_method)
