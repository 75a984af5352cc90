"""Answers that are kept alive by blanks while a function runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.sdk.answers import CommResponse
from holdfast.sdk.consts import HeaderKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from holdfast.sdk.timings import ServerTimings

_BLANK_EVERY_S: Final = 3.0


def streamed(
    answering: Coroutine[Any, Any, CommResponse], timings: ServerTimings, headers: dict[str, str], key: str | None
) -> CommResponse:
    """Answer 201 at once, and send status, headers and body of the real answer as JSON when it is there.

    The signature of the real answer is among its headers: the outer ones leave before there is anything to sign.
    """
    task = asyncio.ensure_future(answering)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while not task.done():
                yield b" "
                await asyncio.wait({task}, timeout=_BLANK_EVERY_S)
            yield _envelope(await task, timings, headers, key)
        finally:
            task.cancel()

    return CommResponse(status_code=201, headers=dict(headers), stream=pieces)


def _envelope(response: CommResponse, timings: ServerTimings, headers: dict[str, str], key: str | None) -> bytes:
    response.headers = {**response.headers, **headers}
    response.headers[HeaderKey.SERVER_TIMING.value] = timings.to_header()
    if key is not None:
        response.sign(key)
    inner = {"body": response.content.decode(), "headers": response.headers, "status": response.status_code}
    return msgspec.json.encode(inner)
