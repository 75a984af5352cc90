"""REST v2 over HTTP: a route for each path under both prefixes, and the envelope for what is no route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.go_json import GoJsonError, first_value
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.access.commands import ForbiddenError
from holdfast.server.api.common.asgi import DisconnectedError, while_connected
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.api.rest.v2.catalogue import OPERATIONS
from holdfast.server.api.rest.v2.envelope import RefusalError
from holdfast.server.api.rest.v2.operation import Fields, Operation, camel, renamed, renamed_within, struct_of
from holdfast.server.api.rest.v2.query_members import read_query
from holdfast.server.engine.engine import DefectError
from holdfast.server.store.history import TooSlowError
from holdfast.server.store.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from holdfast.server.api.common.backend import Backend

log = structlog.get_logger(__name__)

PREFIXES: Final = ("/api/v2", "/v2")
ENV_HEADER: Final = "x-inngest-env"


def routes(backend: Backend) -> list[Route]:
    """Return the routes of all operations, and of all other paths below the prefixes."""
    found: list[Route] = []
    for prefix in PREFIXES:
        found += [V2Route(prefix + each.path, _endpoint(backend, each), methods=[each.method]) for each in OPERATIONS]
        found.append(NoRoute(prefix + "/{path:path}", _nowhere, methods=["NONE"]))
    return found


class V2Route(ApiRoute):
    """A route whose wrong method is told in the envelope, with 501."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request for the path."""
        if self.methods and scope["method"] not in self.methods:
            refusal = RefusalError(501, "api_error", "Method Not Allowed")
            await _refusal(refusal)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class NoRoute(Route):
    """All other paths. No method is its own, so that a path with another method comes first."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 404."""
        await self.app(scope, receive, send)


def _endpoint(backend: Backend, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            work = operation.run(backend, await read_fields(operation, request))
            found = await (while_connected(request.receive, work) if operation.reads else work)
        except DisconnectedError:
            return Response(status_code=400)  # nobody reads it
        except RefusalError as refusal:
            return _refusal(refusal)
        except ForbiddenError as error:
            return _refusal(RefusalError(403, "access_denied", str(error)))
        except TooSlowError as error:
            return _refusal(RefusalError(503, "internal_error", str(error)))
        except StoreError:
            return _refusal(RefusalError(503, "internal_error", "The request could not be stored; try again"))
        except Exception as error:  # told in the envelope, as every other error here
            if not isinstance(error, DefectError):  # the partition told of that
                log.error("a request failed", method=request.method, path=request.url.path, exc_info=error)
            text = "The request could not be handled, see the server's log"
            return _refusal(RefusalError(500, "internal_error", text))
        return Response(found.document(backend.now_ms()), found.status, media_type="application/json")

    return answer


async def read_fields(operation: Operation, request: Request) -> Fields:
    """Return the members of a request: of its body or its query, and of its path. Raises RefusalError."""
    fields: Fields = {}
    if operation.max_body and len(await request.body()) > operation.max_body:
        raise RefusalError(413, "invalid_request", f"Request body cannot exceed {operation.max_body} bytes")
    if operation.body:
        sent = next(field for field in msgspec.structs.fields(operation.request) if field.name == operation.body)
        fields[sent.encode_name] = renamed_within(await _array(request), struct_of(sent.type))
    elif operation.reads or operation.method == "DELETE":
        fields = read_query(operation.request, request.query_params.multi_items())
    else:
        fields = _checked(renamed(await _members(request), operation.request), operation, await request.body())
    known = {field.name: field.encode_name for field in msgspec.structs.fields(operation.request)}
    for name in operation.parameters:
        if name in known:
            fields[known[name]] = _json(request.path_params[name])
    if "origin" in known:
        fields[known["origin"]] = _json(f"{request.url.scheme}://{request.url.netloc}")
    if "env" in known:
        fields[known["env"]] = _json(request.headers.get(ENV_HEADER, ""))
    return fields


async def _members(request: Request) -> Fields:
    body = await request.body()
    if not body.strip():
        return {}
    _check_json(body)
    if body.lstrip()[:1] != b"{":
        raise RefusalError(400, "api_error", f"proto: syntax error (line 1:1): unexpected token {_start(body)}")
    return msgspec.json.decode(body, type=Fields)


async def _array(request: Request) -> msgspec.Raw:
    body = await request.body()
    _check_json(body)
    if body.lstrip()[:1] != b"[":
        raise RefusalError(400, "api_error", "The body must be a JSON array")
    return msgspec.Raw(body)


def _check_json(body: bytes) -> None:
    try:
        rest = body.lstrip()[len(first_value(body)) :].strip()
        msgspec.json.decode(body)
    except GoJsonError as error:
        raise RefusalError(400, "api_error", str(error)) from None
    except UNREADABLE as error:
        raise RefusalError(400, "api_error", str(error)) from None
    if rest:  # pragma: no cover - the decoder has refused it
        raise RefusalError(400, "api_error", "unexpected data after the request's value")


def _checked(fields: Fields, operation: Operation, body: bytes) -> Fields:
    """Return the members of a body, all of which the operation has to know."""
    if not operation.request.__struct_config__.forbid_unknown_fields:
        return fields
    known = {field.encode_name for field in msgspec.structs.fields(operation.request)}
    taken = {camel(name) for name in operation.parameters} | {"env", "origin"}
    for name in fields:
        if name not in known - taken:
            line, column = _place(body, name)
            raise RefusalError(400, "api_error", f'proto: (line {line}:{column}): unknown field "{name}"')
    return fields


def _place(body: bytes, name: str) -> tuple[int, int]:
    before = body[: max(body.find(msgspec.json.encode(name)), 0)]
    return before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1


def _start(body: bytes) -> str:
    return body.lstrip()[:20].decode("utf-8", "replace").split(maxsplit=1)[0]


def _json(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def _refusal(refusal: RefusalError) -> Response:
    return Response(refusal.document(), refusal.status, media_type="application/json")


async def _nowhere(_request: Request) -> Response:
    return _refusal(RefusalError(404, "api_error", "Not Found"))
