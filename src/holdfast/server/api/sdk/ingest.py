"""`POST /e/{key}` (`protocol/http-apis.md` §2): a bare ASGI route, since every event comes through it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import msgspec

from holdfast.protocol.events import EventReader, Intake, read_events
from holdfast.protocol.limits import MAX_EVENTS_BODY
from holdfast.server.access.keys import Keys
from holdfast.server.activity.happening import Happening, refused
from holdfast.server.api.common.asgi import (
    RETRY_AFTER,
    DisconnectedError,
    Receive,
    Scope,
    Send,
    TooLargeError,
    answer,
    header,
    read_body,
    vouch,
)
from holdfast.server.engine.engine import DefectError
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.store import DiskFullError, MissingError, StoreError
from holdfast.server.telemetry.context import keep_trace

#: A request body is read no further than this: 5,000 events fit unless they are large on average.
MAX_BODY = MAX_EVENTS_BODY
#: A longer body is read in slices, in turns that have time for them.
SHORT_BODY = 65_536
#: How many events a slice reads, and how many bytes of them: about two milliseconds.
SLICE_EVENTS = 200
SLICE_BYTES = 256 * 1024
_JSON = msgspec.json.encode
DEFECT = "An event could not be handled (see the server's log); it and those after it were not accepted"
DISK_FULL = "The server's disk is full; the last events of this request, or all, were not accepted. Try again"
MISSING = (
    "The server's database file was moved or replaced; the last events of this request, or all, were not stored. "
    "See its log and /ready"
)
STORE_DOWN = "The last events of this request, or all, could not be stored. Try again"


class EventApi:
    """Accepts events: an answer of 200 means that they, and the runs that they started, are durable."""

    def __init__(
        self, partition: Partition, keys: Keys, new_id: Callable[[int], str], headers: list[tuple[bytes, bytes]],
        foreign: Callable[[Scope], str],
    ) -> None:  # fmt: skip
        self._partition = partition
        self._now = partition.now
        self.tell: Callable[[Happening], None] = lambda _: None  # told what is refused
        self._keys = keys
        self._new_id = new_id
        self._foreign = foreign  # why a request is refused as one of another site's page
        self._headers = [(b"content-type", b"application/json"), *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request to `/e/{key}`."""
        if not self._keys.sends(scope["path"][3:].encode()):
            self._tell_refused(401, "Event key not found")
            await self._answer(send, 401, b'{"status":401,"message":"","error":"Event key not found"}')
            return
        by_page = not self._keys.guarded and header(scope, b"origin")  # browsers send it with each POST
        if by_page and (why := self._foreign(scope)):
            await self._refuse(send, 403, why)
            return
        vouch(scope)
        try:
            given = await read_body(receive, MAX_BODY)
        except DisconnectedError:
            return
        except TooLargeError:
            text = f"Request body is over the max size: Max {MAX_BODY} bytes"
            await self._refuse(send, 413, text)
            return
        await self._accept(scope, given, send)

    async def _accept(self, scope: Scope, given: bytes, send: Send) -> None:
        partition = self._partition
        intake = await self._read(scope, given)
        if intake.events:
            parent = header(scope, b"traceparent")
            if parent:
                keep_trace(partition, intake.events, parent, partial(header, scope))
            try:
                await partition.intake.take(intake.events)
            except StoreError as error:
                await self._refuse(send, 503, _why(error))
                return
            except DefectError:
                await self._refuse(send, 500, DEFECT)
                return
        ids = '","'.join([e.id for e in intake.events])
        if intake.error:
            self._tell_refused(400, intake.error)
            text = _JSON(intake.error).decode()
            await self._answer(send, 400, f'{{"ids":["{ids}"],"status":400,"error":{text}}}'.encode())
        else:
            await self._answer(send, 200, f'{{"ids":["{ids}"],"status":200}}'.encode())

    async def _read(self, scope: Scope, given: bytes) -> Intake | EventReader:
        content_type, seed = header(scope, b"content-type"), header(scope, b"x-inngest-event-id-seed")
        if len(given) <= SHORT_BODY:
            return read_events(given, content_type=content_type, now_ms=self._now(), new_id=self._new_id, seed=seed)
        intake = self._partition.intake
        await intake.turn()
        began = perf_counter()
        reader = EventReader(given, content_type=content_type, now_ms=self._now(), new_id=self._new_id, seed=seed)
        while reader.read(SLICE_EVENTS, SLICE_BYTES):
            intake.spend(began)
            await intake.turn()
            began = perf_counter()
        intake.spend(began)
        return reader

    def _tell_refused(self, status: int, text: str) -> None:
        self.tell(refused(self._now(), status, text))

    async def _refuse(self, send: Send, status: int, text: str) -> None:
        self._tell_refused(status, text)
        await self._answer(send, status, _JSON({"ids": [""], "status": status, "error": text}))

    async def _answer(self, send: Send, status: int, body: bytes) -> None:
        headers = [*self._headers, RETRY_AFTER] if status == 503 else self._headers
        await answer(send, status, body + b"\n", headers)  # many send by curl: a terminal's prompt follows


def _why(error: StoreError) -> str:
    if isinstance(error, DiskFullError):
        return DISK_FULL
    return MISSING if isinstance(error, MissingError) else STORE_DOWN
