"""Streamed answers: status 201 at once, spaces, then an envelope with the real answer (execution.md §3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .harness import App

STREAMS = {"fastapi": "/api/stream", "js": "/api/stream", "js-plain": "/api/plain-stream"}
MARKS = {"fastapi": pytest.mark.sdk_python, "js": pytest.mark.sdk_js, "js-plain": pytest.mark.sdk_js}


@pytest.fixture(params=[pytest.param(kind, marks=MARKS[kind]) for kind in STREAMS])
def stream_app(request: pytest.FixtureRequest, extra_app: Callable[[str, str, str], App]) -> App:
    kind: str = request.param
    return extra_app(kind, f"{kind}-stream", STREAMS[kind])


def test_a_step_an_error_and_an_end(stream_app: App) -> None:
    listens_to = stream_app.id.removesuffix("-stream")
    event_id = stream_app.platform.send(f"{listens_to}/streamed")
    run = stream_app.platform.wait_run(stream_app.platform.runs_of(event_id)[0])
    assert run.output == 1
    assert stream_app.platform.step_output(run.id, "slow") == 1
    calls = stream_app.calls(run.id)
    assert {call["status"] for call in calls} == {201}
    assert [call["ctx"]["attempt"] for call in calls][-1] == 1
