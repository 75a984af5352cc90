"""Sending events: what is posted, how often it is tried, what the answer says."""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin

import msgspec

from holdfast.sdk import consts, typed
from holdfast.sdk.consts import HeaderKey, ServerKind
from holdfast.sdk.context import current_sessions
from holdfast.sdk.errors import EventKeyUnspecifiedError, RequestFailedError, SendEventsError
from holdfast.sdk.logs import log
from holdfast.sdk.sessions import stamped
from holdfast.sdk.transport import headers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.events import Event
    from holdfast.sdk.middleware import MiddlewareManager

_MAX_ATTEMPTS: Final = 5
_BASE_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 30.0
_BUSY: Final = 429


class SendEventsResult(msgspec.Struct, kw_only=True):
    """The outcome of a send: ids of the events that were accepted, and what was wrong with the others."""

    error: str | None = None
    ids: list[str] = []


async def send(
    client: Inngest, middleware: MiddlewareManager | None, events: Event | list[Event], *, sync: bool
) -> list[str]:
    """Send events with the hooks of middleware around it; return their ids, or raise SendEventsError."""
    items = events if isinstance(events, list) else [events]
    if middleware is None:
        return _ids(*await _post(client, items, sync=sync))
    await middleware.before_send_events(items)
    result, status = SendEventsResult(error="not sent"), None
    try:

        async def post() -> SendEventsResult:
            nonlocal status
            found, status = await _post(client, items, sync=sync)
            return found

        result = await middleware.wrap("wrap_send", items, post)()
    except Exception as error:
        result = SendEventsResult(error=str(error), ids=getattr(error, "ids", []))
        raise
    finally:
        await middleware.after_send_events(result)
    return _ids(result, status)


def send_for_step(client: Inngest, middleware: MiddlewareManager, events: Event | list[Event], *, sync: bool) -> Any:
    """Send the events of a step, with the run's own middleware, through the client's `send` without hooks."""
    from holdfast.sdk.middleware import drive  # noqa: PLC0415 - a cycle

    sending = _send_through(client, middleware, events, sync=sync)
    return drive(sending) if sync else sending


async def _send_through(
    client: Inngest, middleware: MiddlewareManager, events: Event | list[Event], *, sync: bool
) -> list[str]:
    items = events if isinstance(events, list) else [events]
    await middleware.before_send_events(items)
    result = SendEventsResult(error="not sent")
    try:

        async def post() -> SendEventsResult:
            if sync:
                return SendEventsResult(ids=client.send_sync(items, skip_middleware=True))
            return SendEventsResult(ids=await client.send(items, skip_middleware=True))

        result = await middleware.wrap("wrap_send", items, post)()
    except Exception as error:
        result = SendEventsResult(error=str(error), ids=getattr(error, "ids", []))
        raise
    finally:
        await middleware.after_send_events(result)
    return list(result.ids)


def _ids(result: SendEventsResult, status: int | None) -> list[str]:
    if result.error is not None:
        raise SendEventsError(result.error, result.ids, status)
    return result.ids


async def _post(client: Inngest, events: list[Event], *, sync: bool) -> tuple[SendEventsResult, int]:
    """Post events until an answer comes that is none of a server in trouble."""
    url, body = _url(client), typed.encode(_all_prepared(events), typed=client.typed)
    headers = {**headers_of(client.identity, client.env), HeaderKey.EVENT_ID_SEED.value: _seed()}
    last: RequestFailedError | None = None
    response: httpx.Response | None = None
    for attempt in range(_MAX_ATTEMPTS):
        try:
            response = await client.transport.send("POST", url, headers=headers, content=body, auth=False, sync=sync)
        except RequestFailedError as error:
            last = error
        if response is not None and response.status_code < 500 and response.status_code != _BUSY:
            break
        if attempt + 1 < _MAX_ATTEMPTS:
            await _pause(_delay(attempt, response), sync=sync)
    if response is None:
        raise SendEventsError(f"never received response while sending events: {last}", []) from last
    return _read(client, response), response.status_code


def _url(client: Inngest) -> str:
    key = client.event_key
    if key is None:
        if client.mode is not ServerKind.DEV_SERVER:
            raise EventKeyUnspecifiedError
        key = consts.DEV_EVENT_KEY
    return urljoin(client.event_api_origin, f"/e/{quote(key, safe='')}")


def _all_prepared(events: list[Event]) -> list[dict[str, object]]:
    sessions = current_sessions()
    return [_prepared(event, sessions) for event in events]


def _prepared(event: Event, sessions: Mapping[str, str] | None) -> dict[str, object]:
    found = event.to_dict()
    if sessions or event.meta:
        found["meta"] = stamped(event.meta, sessions)
    if not found["id"]:
        del found["id"]
    if not found["ts"]:
        found["ts"] = int(time.time() * 1000)
    return found


def _seed() -> str:
    """Return what the server derives the events' ids from: a repeated request gives the same ids."""
    return f"{int(time.time() * 1000)},{base64.b64encode(secrets.token_bytes(10)).decode()}"


def _read(client: Inngest, response: httpx.Response) -> SendEventsResult:
    status = response.status_code
    try:
        result = msgspec.json.decode(response.content, type=SendEventsResult)
    except msgspec.DecodeError:
        raise SendEventsError(
            f"HTTP {status}, not an answer of an event API: {response.text[:200]}", [], status
        ) from None
    if result.error is None and status >= 400:
        result.error = f"HTTP {status}" if client.strict_send or status >= 500 else None
        log(client.logger, "error", f"the event API answered HTTP {status}: {response.text[:200]}")
    if result.error is not None:
        result.ids = [each for each in result.ids if each]
    return result


def _delay(attempt: int, response: httpx.Response | None) -> float:
    """Return the seconds before the next attempt: what the server asks for, else longer each time."""
    asked = response.headers.get("retry-after", "") if response is not None else ""
    if asked.isdigit():
        return min(float(asked), _MAX_DELAY_S)
    return float(_BASE_DELAY_S * 2**attempt + random.random() * _BASE_DELAY_S)


async def _pause(seconds: float, *, sync: bool) -> None:
    if sync:
        time.sleep(seconds)  # noqa: ASYNC251 - for callers without a loop
    else:
        await asyncio.sleep(seconds)
