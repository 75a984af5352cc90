"""Checkpoints: results of steps that are stored while a call goes on, so that a run takes one request, not many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from holdfast.sdk import typed
from holdfast.sdk.answers import step_object
from holdfast.sdk.consts import Opcode
from holdfast.sdk.errors import OutputUnserializableError, RequestFailedError
from holdfast.sdk.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.sdk.calls import ServerRequest
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.execution import CallResult


class Checkpointing(msgspec.Struct, frozen=True, kw_only=True):
    """How long one call goes on taking steps, in milliseconds; the step after that ends the call."""

    max_runtime: int = 10_000


class Checkpointer:
    """Stores the steps of one call."""

    def __init__(
        self, client: Inngest, request: ServerRequest, headers: Mapping[str, str], limits: Checkpointing, *, sync: bool
    ) -> None:
        self._client = client
        self._request = request
        self._request_id = headers.get("x-request-id", "")
        generation = headers.get("x-inngest-generation-id", "")
        self._generation = int(generation) if generation.isdigit() else 0
        self._started_ms = int(time.time() * 1000)
        self._until = time.monotonic() + limits.max_runtime / 1000
        self._sync = sync
        self._first = request.ctx.attempt > 0
        #: Returns what is stored together with the next step.
        self.beside: Callable[[], list[CallResult]] = list

    def takes(self, result: CallResult) -> bool:
        """Whether a step's result is to be stored here: it succeeded, there is time, and it is no retry's first."""
        first, self._first = self._first, False
        done = result.error is None and result.step is not None and result.step.op is Opcode.STEP_RUN
        return done and not first and time.monotonic() < self._until

    async def save(self, result: CallResult) -> bool:
        """Store a result; False if the server could not, so that it has to be reported in the answer."""
        ctx = self._request.ctx
        try:
            steps = [step_object(each, typed=self._client.typed) for each in (result, *self.beside())]
        except OutputUnserializableError:
            return False
        body = {
            "run_id": ctx.run_id,
            "fn_id": ctx.fn_id,
            "qi_id": ctx.qi_id,
            "request_id": self._request_id,
            "generation_id": self._generation,
            "request_started_at": self._started_ms,
            "steps": steps,
            "ts": int(time.time() * 1000),
        }
        try:
            await self._client.api("POST", f"/v1/checkpoint/{ctx.run_id}/async", body, sync=self._sync)
        except RequestFailedError as error:
            log(self._client.logger, "warning", f"a checkpoint failed, the step goes into the answer: {error}")
            return False
        return True

    def recall(self, result: CallResult) -> object:
        """Return a stored output as later calls will find it."""
        return typed.same_json(result.output)
