"""Functions and their steps: outputs, memoisation, odd values and ids; the call request as an app sees it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import App

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def sha1(step: str) -> str:
    return hashlib.sha1(step.encode()).hexdigest()


def test_no_step(app: App) -> None:
    run = app.finish("no-step")
    assert run.output == {"hello": "world", "attempt": 0, "run": run.id}
    assert run.raw["function"]["slug"] == app.slug("no-step")
    assert run.raw["app"]["externalID"] == app.id
    assert run.raw["startedAt"]
    assert run.raw["endedAt"]
    assert len(app.calls(run.id)) == 1


def test_two_steps(app: App) -> None:
    run = app.finish("two-steps")
    assert run.output == {"a": 1, "b": {"sum": 2}}
    assert app.platform.step_output(run.id, "first") == 1
    assert app.platform.step_output(run.id, "second") == {"sum": 2}
    assert app.ran(run.id) == [("first", 0), ("second", 0)]


def test_each_call_carries_what_is_done(app: App) -> None:
    run = app.finish("two-steps")
    calls = app.calls(run.id)
    if app.checkpoints:
        assert len(calls) == 1
        return
    assert [call["ctx"]["stack"]["stack"] for call in calls] == [
        [],
        [sha1("first")],
        [sha1("first"), sha1("second")],
    ]
    assert [call["ctx"]["stack"]["current"] for call in calls] == [0, 1, 2]
    assert [call["steps"] for call in calls] == [[], [sha1("first")], sorted([sha1("first"), sha1("second")])]
    assert [call["version"] for call in calls] == [-1, 2, 2]
    assert [call["headers"]["x-inngest-req-version"] for call in calls] == ["-1", "2", "2"]


def test_the_call_as_the_protocol_has_it(app: App) -> None:
    run_id = app.start("no-step")
    app.platform.wait_run(run_id)
    (call,) = app.calls(run_id)
    ctx, headers = call["ctx"], call["headers"]
    assert call["function"] == app.slug("no-step")
    assert call["step"] == "step"
    assert (ctx["run_id"], ctx["attempt"], ctx["max_attempts"]) == (run_id, 0, 5)
    assert (ctx["disable_immediate_execution"], ctx["use_api"], call["use_api"]) == (False, False, False)
    assert ctx["step_id"] == "step"
    assert ctx["env"] == ""
    assert UUID.fullmatch(ctx["fn_id"])
    assert call["event_user"] == {}
    assert headers["x-run-id"] == run_id
    assert ULID.fullmatch(headers["x-request-id"])
    assert headers["x-inngest-job-id"]
    assert headers["x-inngest-generation-id"] == "1"
    assert headers["x-inngest-step-id"] == "step"
    assert headers["content-type"] == "application/json"
    assert "x-inngest-signature" not in headers
    assert headers["traceparent"].startswith("00-")


def test_keys_are_sorted_and_user_data_is_as_it_was_sent(python_app: App) -> None:
    """Unsigned bodies keep the bytes of events and outputs; signed ones are canonical, as their signatures show."""
    run = python_app.finish("two-steps")
    assert all(call["sorted"] for call in python_app.calls(run.id))


def test_return_null(app: App) -> None:
    run = app.finish("return-null")
    assert run.output is None
    assert run.raw["output"] == "null"


def test_values_survive(app: App) -> None:
    expected = [
        None,
        '日本語 𝄞 <>&\u2028 "quoted"',
        [0, -1, 1.5, 1e21, 9007199254740991, True, False],
        {},
        {"data": {"inner": 1}},
        [[], [{}], ""],
    ]
    run = app.finish("values")
    assert run.output == expected
    assert app.platform.step_output(run.id, "numbers") == expected[2]
    assert app.platform.step_output(run.id, "ünïcødé ✓") == expected[1]


def test_the_same_id_again(app: App) -> None:
    run = app.finish("same-id")
    assert run.output == [0, 1, 2]
    assert app.ran(run.id) == [("again", 0)] * 3
    assert [app.platform.step_output(run.id, "again", n) for n in range(3)] == [0, 1, 2]


def test_odd_ids(app: App) -> None:
    run = app.finish("odd id/✓ & co")
    assert run.output == [0, 1, 2]
    assert app.platform.step_output(run.id, "🚀") == 1


def test_typed_output(python_app: App) -> None:
    run = python_app.finish("typed")
    assert run.output == 4
    assert python_app.platform.step_output(run.id, "typed") == {"name": "square", "sides": 4}


def test_output_that_is_no_json(python_app: App) -> None:
    run = python_app.finish("bad-output", status="FAILED")
    assert run.output == {
        "code": "output_unserializable",
        "message": '"bad" returned unserializable data',
        "name": "OutputUnserializableError",
    }


def test_returning_nothing_is_null(js_app: App) -> None:
    assert js_app.finish("return-nothing").output is None


def test_a_run_does_not_end_twice(app: App) -> None:
    """Ten runs side by side: each with its own result, each body once."""
    ids = app.platform.send_many([{"name": app.event("echo"), "data": {"n": n}} for n in range(10)])
    runs = [app.platform.runs_of(event)[0] for event in ids]
    outputs = [app.platform.wait_run(run).output for run in runs]
    assert [(output["id"], output["data"]) for output in outputs] == [(ids[n], {"n": n}) for n in range(10)]
    assert all(len(app.ran(run)) == 1 for run in runs)
