"""Errors: attempts as the app sees them, what is retried and when, what a failed run says (execution.md §4.4, §3.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import App


def times(app: App, run_id: str, step: str) -> list[float]:
    return [item["at"] for item in app.report(run_id)["ran"] if item["step"] == step]


def test_a_step_fails_twice_then_works(app: App) -> None:
    run = app.once("step-retry")
    assert run.output == {"flaky": "third time lucky", "after": 0}
    assert app.ran(run.id) == [("flaky", 0), ("flaky", 1), ("flaky", 2)]
    first, second, third = times(app, run.id, "flaky")
    assert 0.9 <= second - first <= 2.5
    assert 0.9 <= third - second <= 2.5


def test_retries_keep_the_job_and_change_the_generation(app: App) -> None:
    run = app.once("step-retry")
    tries = app.calls(run.id)[:3]
    assert [call["ctx"]["attempt"] for call in tries] == [0, 1, 2]
    assert {call["ctx"]["max_attempts"] for call in tries} == {4}
    assert len({call["headers"]["x-inngest-job-id"] for call in tries}) == 1
    assert [call["headers"]["x-inngest-generation-id"] for call in tries] == ["1", "2", "3"]
    assert len({call["headers"]["x-request-id"] for call in tries}) == 3


def test_a_step_fails_for_good(app: App) -> None:
    run = app.once("step-fails", "FAILED")
    assert run.output["message"] == "always"
    assert run.output["name"] == app.error_name
    assert "always" in run.output["stack"]
    assert app.ran(run.id) == [("ok", 0), ("bad", 0), ("bad", 1)]
    assert app.platform.step_output(run.id, "ok") == 1
    error = app.platform.step_output(run.id, "bad")["error"]
    assert (error["message"], error["name"]) == ("always", app.error_name)


def test_the_error_of_a_step_can_be_caught(app: App) -> None:
    run = app.once("step-fails-caught")
    assert run.output == "caught always"
    assert app.ran(run.id) == [("bad", 0), ("bad", 1)]
    assert app.calls(run.id)[-1]["ctx"]["attempt"] == 0


def test_the_body_fails_once(app: App) -> None:
    run = app.once("fn-retry")
    assert run.output == {"attempt": 1}
    assert app.ran(run.id) == [("body", 0), ("body", 1)]


def test_not_retriable(app: App) -> None:
    run = app.finish("non-retriable", status="FAILED")
    assert (run.output["message"], run.output["name"]) == ("not again", "NonRetriableError")
    assert app.ran(run.id) == [("body", 0)]


def test_not_retriable_in_a_step(app: App) -> None:
    run = app.finish("non-retriable-in-step", status="FAILED")
    assert (run.output["message"], run.output["name"]) == ("not again", "NonRetriableError")
    assert app.ran(run.id) == [("fatal", 0)]


def test_retry_after(app: App) -> None:
    run = app.once("retry-after")
    assert run.output == "done"
    assert app.ran(run.id) == [("body", 0), ("body", 1)]
    first, second = times(app, run.id, "body")
    assert 3 <= second - first <= 5.5


def test_retry_after_in_a_step(app: App) -> None:
    run = app.once("retry-after-in-step")
    assert run.output == "done"
    assert app.ran(run.id) == [("busy", 0), ("busy", 1)]
    first, second = times(app, run.id, "busy")
    assert 3 <= second - first <= 5.5
