"""Checkpointing, the TypeScript SDK's default: steps run in one call and are checked in (execution.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .harness import App

pytestmark = pytest.mark.sdk_js


@pytest.fixture
def buffered(extra_app: Callable[[str, str, str], App]) -> App:
    """Two steps at a time, and no more than a second."""
    return extra_app("js", "js-buffered", "/api/buffered")


@pytest.fixture
def checkpointing(extra_app: Callable[[str, str, str], App]) -> App:
    return extra_app("js", "js", "/api/inngest")


def test_one_call_for_all_steps(checkpointing: App) -> None:
    run = checkpointing.finish("values")
    assert len(checkpointing.calls(run.id)) == 1
    assert checkpointing.platform.step_output(run.id, "numbers")[3] == 1e21


def test_what_is_checked_in_is_not_run_again(checkpointing: App) -> None:
    run = checkpointing.finish("sleep")
    first, second = checkpointing.calls(run.id)
    assert (len(first["ctx"]["stack"]["stack"]), len(second["ctx"]["stack"]["stack"])) == (0, 2)
    assert checkpointing.ran(run.id) == [("before", 0), ("after", 0)]


def test_check_ins_reset_the_attempts(checkpointing: App) -> None:
    """`ok` is checked in during attempt 0, `bad` then has all its own attempts."""
    run = checkpointing.once("step-fails", "FAILED")
    assert checkpointing.ran(run.id) == [("ok", 0), ("bad", 0), ("bad", 1)]


def test_buffered_steps(buffered: App) -> None:
    run = buffered.finish("buffered")
    assert run.output == [0, 1, 2, 3, 4]
    assert len(buffered.calls(run.id)) == 1
    assert [buffered.platform.step_output(run.id, f"s{n}") for n in range(5)] == [0, 1, 2, 3, 4]


def test_longer_than_the_runtime(buffered: App) -> None:
    """Steps found after the runtime are planned instead; each still runs once."""
    run = buffered.finish("max-runtime")
    assert run.output == [0, 1, 2, 3]
    assert len(buffered.calls(run.id)) > 1
    assert [step for step, _ in buffered.ran(run.id)] == ["s0", "s1", "s2", "s3"]


def test_check_ins_of_runs_that_are_none(checkpointing: App) -> None:
    http = checkpointing.platform.http
    unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    body = {"run_id": unknown, "fn_id": unknown, "qi_id": "", "steps": [{"op": "StepRun", "id": "a" * 40, "data": 1}]}
    response = http.post(f"/v1/checkpoint/{unknown}/async", json=body)
    assert response.status_code == 400
    assert response.json()["error"] == "run not found in state store"
    broken = http.post(f"/v1/checkpoint/{unknown}/async", content=b"{")
    assert broken.status_code == 400
    assert broken.json()["error"].startswith("invalid request body: ")
