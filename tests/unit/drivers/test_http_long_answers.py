"""Long answers are read when the loop has time, and those to runs that have ended not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from holdfast.protocol.calls import CallContext
from holdfast.protocol.responses import Outcome
from holdfast.server.drivers.driver import Request
from holdfast.server.drivers.http.answer import Answer
from holdfast.server.drivers.http.client import HttpClient
from holdfast.server.drivers.http.driver import LONG_ANSWER, HttpDriver

HEADERS = {"x-inngest-sdk": "inngest-py:v0.5.0"}


class Client:
    """Keeps what would be told to whoever posted."""

    def post(self, target: object, headers: object, body: bytes, done: Callable[[Answer], None]) -> None:
        self.done = done


@pytest.mark.parametrize("alive", [True, False])
def test_a_long_answer_is_read_for_a_run_that_is_alive(*, alive: bool) -> None:
    client, works, outcomes = Client(), list[tuple[str, Callable[[], object]]](), list[Outcome | None]()
    driver = HttpDriver(
        cast("HttpClient", client), when_free=lambda owner, work: works.append((owner, work)), alive=lambda _: alive
    )
    context = CallContext("run", "function", "job", "item", "request", 1, 0, 4, "step", 2, False, 0, None)
    driver.call(Request(context, "app", "slug", "http://app/api?stepId=step", b"{}"), outcomes.append)
    client.done(Answer(200, HEADERS, b'"' + b"x" * LONG_ANSWER + b'"'))
    assert not outcomes
    while works:
        owner, work = works.pop(0)
        assert owner == "function"
        work()
    (outcome,) = outcomes
    assert (outcome is not None) is alive
