"""Requests that the server makes for a run: any httpx client becomes durable by its transport.

    async with httpx.AsyncClient(transport=DurableTransport("prices")) as http:
        answer = await http.get("https://example.com/prices")

Each request is a step: nothing runs while the answer is awaited, and later calls of the run find the same answer.
Within a step's body, and outside of runs, requests are made at once by the transport `otherwise`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from holdfast.sdk.context import get_step_context
from holdfast.sdk.execution import in_step
from holdfast.sdk.step import Step
from holdfast.sdk.step_sync import StepSync

if TYPE_CHECKING:
    from holdfast.sdk.plans import FetchResponse

__all__ = ["DurableTransport"]

#: Headers of the transfer, which the server has dealt with: bodies come decoded, as text.
_OF_TRANSFER = {"content-encoding", "content-length", "transfer-encoding", "connection"}


class DurableTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """A transport of `httpx.AsyncClient` in asynchronous functions, and of `httpx.Client` in synchronous ones.

    Args:
        step_id: The id of the steps; further requests with it are further steps.
        otherwise: Makes the requests that are no steps; an ordinary transport unless given.

    """

    def __init__(
        self, step_id: str = "fetch", *, otherwise: httpx.AsyncBaseTransport | httpx.BaseTransport | None = None
    ) -> None:
        self._step_id = step_id
        self._otherwise = otherwise

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Have the server make a request, with a body of text; raise StepError if it got no answer."""
        step = _step()
        if not isinstance(step, Step):
            transport = self._otherwise or httpx.AsyncHTTPTransport()
            assert isinstance(transport, httpx.AsyncBaseTransport), "an AsyncClient needs an asynchronous transport"
            return await transport.handle_async_request(request)
        body = _text(request, await request.aread())
        return _response(
            await step.fetch(self._step_id, request.method, str(request.url), headers=_headers(request), body=body)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Have the server make a request of a synchronous function; see `handle_async_request`."""
        step = _step()
        if not isinstance(step, StepSync):
            transport = self._otherwise or httpx.HTTPTransport()
            assert isinstance(transport, httpx.BaseTransport), "a Client needs a synchronous transport"
            return transport.handle_request(request)
        body = _text(request, request.read())
        return _response(
            step.fetch(self._step_id, request.method, str(request.url), headers=_headers(request), body=body)
        )


def _step() -> Step | StepSync | None:
    """Return the steps of the run that this code belongs to; None outside of runs, and within a step."""
    try:
        return None if in_step() else get_step_context()
    except LookupError:
        return None


def _text(request: httpx.Request, body: bytes) -> str | None:
    try:
        return body.decode() if body else None
    except UnicodeDecodeError:
        raise httpx.UnsupportedProtocol("the server sends bodies of text only", request=request) from None


def _headers(request: httpx.Request) -> dict[str, str]:
    left_to_the_server = {"host", "accept-encoding", *_OF_TRANSFER}
    return {name: value for name, value in request.headers.items() if name.lower() not in left_to_the_server}


def _response(answer: FetchResponse) -> httpx.Response:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_TRANSFER}
    return httpx.Response(answer.status_code, headers=headers, content=answer.body.encode())
