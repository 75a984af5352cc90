"""`holdfast check`: mistakes in an app's functions are found without running them."""

from __future__ import annotations

import random
import sys
import time
import uuid
from datetime import UTC, datetime
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from holdfast import Client, Context, ContextSync, TriggerEvent
from holdfast.sdk.linting import check_code
from holdfast.server.commands.check import check

if TYPE_CHECKING:
    from pathlib import Path

client = Client(app_id="checked", is_production=False)
GO = TriggerEvent(event="go")


def codes(handler: Any) -> list[str]:
    return [problem.code for problem in check_code(client.create_function(fn_id="f", trigger=GO)(handler))]


def test_steps_within_steps_and_values_that_change() -> None:
    async def order(ctx: Context) -> None:
        when = datetime.now(UTC)

        async def pay() -> Any:
            await ctx.step.run("inner", lambda: 1)
            return [random.random(), uuid.uuid4(), when]

        await ctx.step.run("pay", pay)
        await ctx.step.run("one", lambda: time.time() + 1)
        await ctx.step.sleep("nap", random.randint(1, 2))

    assert codes(order) == ["not-deterministic", "nested-step", "not-deterministic"]


def test_step_ids_that_are_used_twice() -> None:
    def order(ctx: ContextSync) -> None:
        ctx.step.run("a", lambda: 1)
        for _ in range(2):
            ctx.step.run("loop", lambda: 1)
        ctx.group.parallel((lambda: ctx.step.run("b", lambda: 1), lambda: ctx.step.run("c", lambda: 1)))
        ctx.step.run("a", lambda: 2)

    function = client.create_function(fn_id="f", trigger=GO)(order)
    (problem,) = check_code(function)
    first = order.__code__.co_firstlineno
    assert (problem.line, problem.code) == (first + 5, "same-step-id")
    assert problem.text == f"the step id 'a' is used in line {first + 1}, too"


def test_what_is_fine_is_left_alone() -> None:
    async def order(ctx: Context, step: Any = None) -> Any:
        async def pay() -> float:
            return random.random() + time.time()

        now = await ctx.step.run("now", lambda: time.time() + 1)
        return await ctx.step.run("pay", pay), now, time.sleep, step

    assert codes(order) == []
    assert codes(eval("lambda ctx: random.random()")) == []


def run_check(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, target: str) -> Any:
    (folder / "checked_app.py").write_text(dedent(text))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "checked_app", raising=False)
    return CliRunner().invoke(check, [target])


APP = """
    from holdfast import Client, TriggerCron, TriggerEvent
    client = Client(app_id="{0}", is_production=False)

    @client.create_function(fn_id="order", trigger=TriggerEvent(event="go", expression="event.data.x =="))
    def order(ctx): ...

    @client.create_function(fn_id="order", trigger=TriggerCron(cron="nonsense"))
    def again(ctx): ...

    @client.create_function(fn_id="fine", trigger=TriggerEvent(event="go"))
    def fine(ctx): ...
"""


def test_the_command_finds_what_a_server_would_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_check(tmp_path, monkeypatch, APP.format(tmp_path.name), "checked_app:client")
    assert done.exit_code == 1
    lines = [line.removeprefix(f"{tmp_path}/") for line in done.output.splitlines()]
    assert lines[0].startswith("checked_app.py:5: refused 'order': invalid trigger expression on 'go'")
    assert lines[1:] == [
        "checked_app.py:8: refused 'order': 'nonsense' isn't a valid cron schedule",
        "checked_app.py:8: same-function-id the function id 'order' is used twice",
        "3 functions: 3 problems",
    ]


def test_the_command_says_when_nothing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"""
        from holdfast import Client, TriggerEvent
        client = Client(app_id="fine-{tmp_path.name}", is_production=False)

        @client.create_function(fn_id="fine", trigger=TriggerEvent(event="go"))
        def fine(ctx): ...
    """
    done = run_check(tmp_path, monkeypatch, text, "checked_app:client")
    assert (done.exit_code, done.output) == (0, "1 function: nothing wrong\n")


@pytest.mark.parametrize(("target", "why"), [("no_such_app:client", "no module"), ("checked_app:other", "no 'other'")])
def test_what_can_not_be_checked_is_said(
    target: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_check(tmp_path, monkeypatch, "client = 1", target)
    assert done.exit_code != 0
    assert why in done.output
