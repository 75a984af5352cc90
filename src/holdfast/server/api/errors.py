"""The error body of `/invoke`, `/fn`, `/v0` and `/v1` (`protocol/http-apis.md` §1.4)."""

from __future__ import annotations

import msgspec
from starlette.responses import PlainTextResponse, Response

_encode = msgspec.json.Encoder().encode


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON body with the newline that streaming encoders leave."""
    return Response(_encode(value) + b"\n", status, headers, "application/json")


def public_error(status: int, message: str, data: object = None) -> Response:
    """The public error `{"error","data","status"}`, sent with its own status."""
    return json_response({"error": message, "data": data, "status": status}, status)


def page_not_found() -> Response:
    """The 404 of routes that don't exist."""
    return PlainTextResponse("404 page not found\n", 404, {"x-content-type-options": "nosniff"})
