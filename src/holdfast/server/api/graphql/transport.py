"""The transport of GraphQL requests: what is a request, what isn't, and the status of each answer (`graphql.md` §1)."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.limits import GQL_BODY, GQL_WAITING
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.common.asgi import DisconnectedError, TooLargeError, read_body, while_connected
from holdfast.server.api.graphql import playground
from holdfast.server.api.graphql.thread import Worker

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.api.graphql.documents import GraphQLService

_KNOWN_HASHES: Final = 100
_SHOWN: Final = 4_096  # bytes of a body that an error repeats
BUSY: Final = f"the server is busy with {GQL_WAITING} GraphQL requests; try again"
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


class _Request(NamedTuple):
    """What came, as the worker's thread reads it."""

    method: str
    content_type: str
    parameters: Mapping[str, str]
    body: bytes


class GraphQLApi:
    """The routes of GraphQL. Requests are read, executed and answered in a thread. Close it when done."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._service: GraphQLService | None = None
        self._hashes: OrderedDict[str, str] = OrderedDict()
        self._worker = Worker("graphql")
        self._under_way = 0

    def routes(self) -> list[BaseRoute]:
        """`/v0/gql`, and a page to try it on."""
        return [Route("/v0/gql", self.answer, methods=_METHODS), *playground.routes()]

    def prepare(self) -> None:
        """Load the schema ahead of the first request: it takes up to a second, and a page that opens will ask."""
        if self._service is None:
            self._worker.begin(self._loaded)

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    async def answer(self, request: Request) -> Response:
        """Return the handler of `/v0/gql`, for all methods."""
        if request.method == "OPTIONS":
            return Response(headers={"allow": "OPTIONS, GET, POST"})
        try:
            body = await read_body(request.receive, GQL_BODY)
        except TooLargeError:
            return _refused(413, f"Request body is over the max size: Max {GQL_BODY} bytes", {"connection": "close"})
        except DisconnectedError:
            return Response(status_code=400)  # nobody reads it
        given = _Request(
            request.method, request.headers.get("content-type", ""), dict(request.query_params.items()), body
        )
        home = asyncio.get_running_loop()
        with self._place() as free:
            if not free:
                return _refused(503, BUSY, {"retry-after": "1"})
            try:
                work = self._worker.run(lambda: self._process(given, home))
                status, answer = await while_connected(request.receive, work)
            except DisconnectedError:
                return Response(status_code=400)  # nobody reads it
        return Response(answer, status, media_type="application/json")

    @contextmanager
    def _place(self) -> Generator[bool]:
        """A place among the requests under way, if there is one."""
        if self._under_way >= GQL_WAITING:
            yield False
            return
        self._under_way += 1
        try:
            yield True
        finally:
            self._under_way -= 1

    async def _process(self, given: _Request, home: asyncio.AbstractEventLoop) -> tuple[int, bytes]:
        try:
            query = _read(given)
            text = self._text(query)
        except _RefusedError as refused:
            return refused.status, _encode({"errors": [refused.error], "data": None})
        read_only = given.method == "GET"
        status, body = await self._load().execute(
            text, query.variables, query.operation_name, read_only=read_only, home=home
        )
        return status, _encode(body)

    async def _loaded(self) -> GraphQLService:
        return self._load()

    def _load(self) -> GraphQLService:
        if self._service is None:
            from holdfast.server.api.graphql.documents import GraphQLService  # noqa: PLC0415 - slow to import

            self._service = GraphQLService(self._backend)
            gc.freeze()  # the schema stays: no full collection walks through it
        return self._service

    def _text(self, query: Query) -> str:
        """Return the query's text; a persisted query is remembered by its hash or found by it."""
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


def _read(given: _Request) -> Query:
    if given.method == "GET":
        return _from_url(given.parameters)
    content_type = given.content_type.partition(";")[0].strip().lower()
    if given.method == "POST" and content_type == "application/json":
        return _from_json(given.body)
    raise _RefusedError(400, "transport not supported")


def _from_json(body: bytes) -> Query:
    try:
        return msgspec.json.decode(body, type=Query)
    except RecursionError:
        raise _RefusedError(400, "json request body could not be decoded: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = body[:_SHOWN].decode("utf-8", "replace")
        raise _RefusedError(400, f"json request body could not be decoded: {error} body:{text}") from None


def _from_url(parameters: Mapping[str, str]) -> Query:
    query = Query(parameters.get("query"), operation_name=parameters.get("operationName"))
    for name, kind in (("variables", dict[str, object]), ("extensions", _Extensions)):
        if text := parameters.get(name):
            try:
                setattr(query, name, msgspec.json.decode(text, type=kind))
            except UNREADABLE:
                raise _RefusedError(400, f"{name} could not be decoded") from None
    return query


def _encode(body: object) -> bytes:
    return msgspec.json.encode(body)


def _refused(status: int, message: str, headers: dict[str, str]) -> Response:
    body = _encode({"errors": [{"message": message}], "data": None})
    return Response(body, status, headers, "application/json")
