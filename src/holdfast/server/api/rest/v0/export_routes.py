"""Exports over HTTP: runs and events as JSON lines, the oldest first, as `holdfast export` writes them.

Each page of rows is a look of its own at the database, made when the one before was taken: no memory that grows, and no
view of the database that is held while a client reads slowly. If a page can't be read, the answer ends without its last
chunk, so that clients see that it is not whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.api.common.parameters import read_moment
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.clock import now_ms
from holdfast.server.config.file import did_you_mean
from holdfast.server.model.status import RunStatus
from holdfast.server.store.export import FOREVER, START, Export, Place, Wanted
from holdfast.server.store.history import TooSlowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    ReadPage = Callable[[Wanted, Place], Awaitable[tuple[bytes, Place | None]]]

LINES: Final = "application/x-ndjson"
_OF_BOTH: Final = ("since", "until", "function")
_OF_RUNS: Final = (*_OF_BOTH, "status", "with_steps")
_OF_EVENTS: Final = (*_OF_BOTH, "name", "internal")
_FLAGS: Final = {"": False, "false": False, "0": False, "true": True, "1": True}
_STATUSES: Final = {status.name.lower(): status for status in RunStatus}


def routes(export: Export) -> list[ApiRoute]:
    """Return the routes of this module."""
    exports = _Exports(export)
    return [
        ApiRoute("/v1/export/runs", exports.runs, methods=["GET"]),
        ApiRoute("/v1/export/events", exports.events, methods=["GET"]),
    ]


class _Exports:
    def __init__(self, export: Export) -> None:
        self._export = export

    async def runs(self, request: Request) -> Response:
        """Runs, by the time at which they were scheduled."""
        return await self._lines(request, self._export.runs, _OF_RUNS)

    async def events(self, request: Request) -> Response:
        """Events, by the time of their reception."""
        return await self._lines(request, self._export.events, _OF_EVENTS)

    async def _lines(self, request: Request, page: ReadPage, known: Collection[str]) -> Response:
        try:
            wanted = _wanted(request.query_params, known)
        except ValueError as error:
            return public_error(400, str(error))
        if request.method == "HEAD":
            return Response(media_type=LINES)
        try:
            first = await page(wanted, START)
        except TooSlowError:
            return public_error(503, "This takes too long: ask for less, or use `holdfast export` on the server's host")
        return StreamingResponse(self._stream(page, wanted, *first), media_type=LINES)

    async def _stream(self, page: ReadPage, wanted: Wanted, lines: bytes, place: Place | None) -> AsyncIterator[bytes]:
        yield lines
        while place is not None:
            lines, place = await page(wanted, place)
            yield lines


def _wanted(query: QueryParams, known: Collection[str]) -> Wanted:
    """Return what the query asks for. Raises ValueError, with a text for the client."""
    for name in query:
        if name not in known:  # a misspelt filter would export everything
            raise ValueError(f"there is no parameter {name!r}{did_you_mean(name, known)}")
    names = tuple(query.getlist("name"))
    return Wanted(
        since=_moment("since", query.get("since", ""), 0),
        until=_moment("until", query.get("until", ""), FOREVER),
        functions=tuple(query.getlist("function")),
        statuses=tuple(_status(text) for text in query.getlist("status")),
        names=names,
        internal=_flag("internal", query.get("internal", "")) or any(name.startswith("inngest/") for name in names),
        with_steps=_flag("with_steps", query.get("with_steps", "")),
    )


def _moment(name: str, text: str, absent: int) -> int:
    found = read_moment(text, now_ms()) if text else absent
    if found is None:
        raise ValueError(f"{name}: neither a time such as 2026-01-31T12:00:00Z nor an age such as 7d: {text!r}")
    return found


def _status(text: str) -> RunStatus:
    if text.lower() not in _STATUSES:
        raise ValueError(f"status: {text!r} is none of {', '.join(_STATUSES)}")
    return _STATUSES[text.lower()]


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(f"{name}: neither true nor false: {text!r}")
    return _FLAGS[text.lower()]
