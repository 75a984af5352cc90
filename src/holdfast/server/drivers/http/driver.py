"""Calls over HTTP: the first implementation of the driver protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from holdfast.protocol.calls import CallContext, render_headers
from holdfast.protocol.canonical import canonical
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.protocol.signing import sign
from holdfast.protocol.urls import set_step_id
from holdfast.server.clock import now_ms
from holdfast.server.drivers.driver import Done, Origin, Request
from holdfast.server.drivers.http import endpoints
from holdfast.server.drivers.http.answer import Answer
from holdfast.server.drivers.http.client import HttpClient
from holdfast.server.drivers.http.failures import CallFailure
from holdfast.server.drivers.http.target import Target

#: A longer answer (bytes) is handled when the loop has time for it.
LONG_ANSWER = 32_768


class HttpDriver:
    """Posts calls to apps.

    Args:
        client: The HTTP client, which others use too.
        signers: The signing keys in force: the first one signs.
        when_free: Called with the id of a function and the handling of one of its long answers, which it runs in a
            turn of the loop that has time.
        now: The time (ms since the epoch) that answers are relative to, which ask for another try after some seconds.
        alive: Tells whether the run of an id is alive: long answers to others are not read.
        in_turn: As `when_free`, for the others: done at once, unless this turn of the loop had many of them.

    """

    def __init__(
        self,
        client: HttpClient,
        signers: Callable[[], Sequence[str]] = tuple,
        when_free: Callable[[str, Callable[[], object]], object] = lambda _, work: work(),
        now: Callable[[], int] = now_ms,
        alive: Callable[[str], bool] = lambda _: True,
        in_turn: Callable[[str, Callable[[], object]], object] = lambda _, work: work(),
    ) -> None:
        self._client = client
        self._when_free = when_free
        self._in_turn = in_turn
        self._now = now
        self._alive = alive
        self._signers = signers
        self._targets: dict[str, Target] = {}
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def call(self, request: Request, done: Done) -> None:
        """Post a call. Raises ValueError if the URL can't be called."""
        if request.origin is not None:
            self._call_endpoint(request, request.origin, done)
            return
        target = self._target(request.url, request.context.step)
        body, signature = self._signed(request.body, exact=request.exact)
        headers = render_headers(request.context, request.app_id, signature)
        self._client.post(target, headers, body, partial(self._answered, request.context, done))

    def abandon(self, run_id: str) -> None:
        """Do nothing: a request that was sent can't be taken back."""

    def forget(self) -> None:
        """Do nothing: the dispatcher drops the outcomes of earlier calls."""

    async def close(self) -> None:
        """Drop the calls of durable endpoints; the client, which others use too, is not closed."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _answered(self, context: CallContext, done: Done, result: Answer | CallFailure) -> None:
        if isinstance(result, CallFailure):
            done(transport_failure(result.text, result.code or ""))
        elif len(result.body) > LONG_ANSWER:
            self._when_free(context.function_id, partial(self._read_long, context, done, result))
        else:
            self._in_turn(context.function_id, partial(self._read_short, done, result))

    def _read_short(self, done: Done, result: Answer) -> None:
        done(self._read(result))

    def _read_long(self, context: CallContext, done: Done, result: Answer) -> None:
        """Read in one turn, and act in another one; neither for a run that has ended meanwhile."""
        if self._alive(context.run_id):
            self._when_free(context.function_id, partial(done, self._read(result)))
        else:
            done(None)

    def _call_endpoint(self, request: Request, origin: Origin, done: Done) -> None:
        task = asyncio.ensure_future(endpoints.call(self._client, origin, request.context, self._key()))
        self._tasks.add(task)
        task.add_done_callback(partial(self._endpoint_answered, done))

    def _endpoint_answered(self, done: Done, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            done(task.result() if error is None else transport_failure(f"error performing request: {error}"))

    def _signed(self, body: bytes, *, exact: bool) -> tuple[bytes, str]:
        """Return what is sent, and the signature of its canonical form, which rounds numbers as JavaScript does.

        `exact` bodies are sent as they are: a large id stays itself, and `1.0` a float.
        """
        key = self._key()
        if not key:
            return body, ""
        signed = canonical(body)
        return body if exact else signed, sign(key, signed, int(time.time()))

    def _key(self) -> str:
        signers = self._signers()
        return signers[0] if signers else ""

    def _target(self, url: str, step: str) -> Target:
        if step:
            return Target.parse(set_step_id(url, step))
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = Target.parse(set_step_id(url, "step"))
        return target

    def _read(self, result: Answer) -> Outcome:
        return read_response(result.status, result.headers, result.body, self._now())
