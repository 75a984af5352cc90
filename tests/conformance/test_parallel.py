"""Parallel steps: planning, targeted calls, joining, failures, race mode (execution.md §4.2)."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import App


def sha1(step: str) -> str:
    return hashlib.sha1(step.encode()).hexdigest()


def test_three_steps_then_one(app: App) -> None:
    run = app.finish("parallel")
    assert run.output == 3
    assert Counter(app.ran(run.id)) == Counter({("p0", 0): 1, ("p1", 0): 1, ("p2", 0): 1, ("join", 0): 1})
    assert [app.platform.step_output(run.id, f"p{n}") for n in range(3)] == [0, 1, 2]
    assert app.platform.step_output(run.id, "join") == 3


def test_planned_steps_are_called_by_their_id(app: App) -> None:
    run = app.finish("parallel")
    calls = app.calls(run.id)
    targets = [call["step"] for call in calls if call["step"] != "step"]
    assert sorted(targets) == sorted(sha1(f"p{n}") for n in range(3))
    targeted = [call for call in calls if call["step"] != "step"]
    assert all(call["ctx"]["disable_immediate_execution"] for call in targeted)
    assert all(call["headers"]["x-inngest-step-id"] == call["step"] for call in targeted)
    assert not calls[-1]["ctx"]["disable_immediate_execution"]
    # one discovery that plans, one that joins, and without checkpoints one more that ends
    assert len(calls) - len(targeted) == (2 if app.checkpoints else 3)


def test_one_of_three_fails(app: App) -> None:
    run = app.once("parallel-one-fails")
    assert run.output == [1, "caught one of three", None]
    assert Counter(app.ran(run.id)) == Counter({("good", 0): 1, ("bad", 0): 1, ("bad", 1): 1})


def test_race(app: App) -> None:
    run = app.finish("parallel-race")
    assert run.output == 0
    assert Counter(step for step, _ in app.ran(run.id)) == Counter({"p0": 1, "p1": 1, "join": 1})


def test_every_kind_of_step_in_one_response(app: App) -> None:
    run = app.once("parallel-mixed")
    assert run.output == {"answer": 7, "sent": 1, "child": 8, "plain": "p"}
    assert app.ran(run.id) == [("plain", 0)]


def test_chains_of_steps(app: App) -> None:
    run = app.finish("parallel-chains")
    assert run.output == [[["a0", "a1"], ["b0", "b1", "b2"], ["c0"]], "end"]
    steps = ["a.0", "a.1", "b.0", "b.1", "b.2", "c.0", "after"]
    assert Counter(app.ran(run.id)) == Counter((step, 0) for step in steps)
