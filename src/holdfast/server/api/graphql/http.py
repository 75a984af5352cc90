"""The transport of GraphQL requests: what is a request, what isn't, and the status of each answer (`graphql.md` §1)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.go_json import GoJsonError, first_value, go_kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from holdfast.server.api.backend import Backend
    from holdfast.server.api.graphql.service import GraphQLService

_KNOWN_HASHES: Final = 100
_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Query(msgspec.Struct):
    """A request as a client writes it."""

    query: str | None = None
    variables: dict[str, object] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    extensions: _Extensions | None = None


class _PersistedQuery(msgspec.Struct):
    sha256: str = msgspec.field(name="sha256Hash", default="")
    version: int = 1


class _Extensions(msgspec.Struct):
    persisted: _PersistedQuery | None = msgspec.field(name="persistedQuery", default=None)


class _RefusedError(Exception):
    """A request that isn't executed: its status and its one error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, object] = {"message": message}
        if code:
            self.error["extensions"] = {"code": code}


def graphql_endpoint(backend: Backend) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/v0/gql`, for all methods."""
    return _Endpoint(backend).answer


def routes(backend: Backend) -> list[Route]:
    """The route of GraphQL."""
    return [Route("/v0/gql", graphql_endpoint(backend), methods=_METHODS)]


class _Endpoint:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._service: GraphQLService | None = None
        self._hashes: OrderedDict[str, str] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"allow": "OPTIONS, GET, POST"})
        try:
            query = await _read(request)
            text = self._text(query)
        except _RefusedError as refused:
            return _response({"errors": [refused.error], "data": None}, refused.status)
        status, body = await self._load().execute(
            text, query.variables, query.operation_name, read_only=request.method == "GET"
        )
        return _response(body, status)

    def _load(self) -> GraphQLService:
        if self._service is None:
            from holdfast.server.api.graphql.service import GraphQLService  # noqa: PLC0415 - slow to import

            self._service = GraphQLService(self._backend)
        return self._service

    def _text(self, query: Query) -> str:
        """The query's text; a persisted query is remembered by its hash or found by it."""
        persisted = query.extensions.persisted if query.extensions else None
        if persisted is None:
            return query.query or ""
        if not query.query:
            known = self._hashes.get(persisted.sha256)
            if known is None:
                raise _RefusedError(200, "PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
            self._hashes.move_to_end(persisted.sha256)
            return known
        if hashlib.sha256(query.query.encode()).hexdigest() != persisted.sha256:
            raise _RefusedError(200, "provided APQ hash does not match query")
        self._hashes[persisted.sha256] = query.query
        if len(self._hashes) > _KNOWN_HASHES:
            self._hashes.popitem(last=False)
        return query.query


async def _read(request: Request) -> Query:
    if request.method == "GET":
        return _from_url(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or content_type != "application/json":
        raise _RefusedError(400, "transport not supported")
    body = await request.body()
    try:
        return msgspec.json.decode(body, type=Query)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = _reason(body, error)
        text = body.decode("utf-8", "replace")
        raise _RefusedError(400, f"json request body could not be decoded: {reason} body:{text}") from None


def _from_url(request: Request) -> Query:
    parameters = request.query_params
    query = Query(parameters.get("query"), operation_name=parameters.get("operationName"))
    for name, kind in (("variables", dict[str, object]), ("extensions", _Extensions)):
        if text := parameters.get(name):
            try:
                setattr(query, name, msgspec.json.decode(text, type=kind))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise _RefusedError(400, f"{name} could not be decoded") from None
    return query


def _reason(body: bytes, error: Exception) -> str:
    """What is wrong with a body, in the words of the reference's decoder where they are known."""
    try:
        kind = go_kind(msgspec.json.decode(first_value(body)))
    except GoJsonError as problem:
        return str(problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return str(error)
    return str(error) if kind == "object" else f"json: cannot unmarshal {kind} into Go value of type graphql.RawParams"


def _response(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
