"""The one error of expressions, and the reference's way of pointing into a text."""

from __future__ import annotations

import msgspec

from holdfast.protocol.limits import EXPRESSION_WORK

_PREFIX = "error compiling expression: "


class ExpressionError(ValueError):
    """A text that is no expression, or an evaluation that met values its operators are not made for."""


class BudgetError(ExpressionError):
    """An evaluation would have cost more than one may: the values are too large for what the text does with them."""

    def __init__(self) -> None:
        super().__init__(
            f"the evaluation was aborted: it needs more than {EXPRESSION_WORK:,} units of work; compare less, or"
            " send smaller values"
        )


class Exhausted(Exception):
    """The budget is used up. `Expression` turns it into a BudgetError."""


class Issue(msgspec.Struct, frozen=True, gc=False):
    """What is wrong at one place of a text: `at` is an offset in characters."""

    at: int
    message: str


class SyntaxIssues(ExpressionError):
    """The text breaks the grammar; its message is what the reference's compiler says about it."""

    def __init__(self, text: str, issues: list[Issue]) -> None:
        super().__init__(render(text, issues))


def render(text: str, issues: list[Issue]) -> str:
    """Write issues as `error compiling expression: ERROR: <input>:1:5: …` with the line and a caret below each."""
    return _PREFIX + "\n".join(_render_one(text, issue) for issue in sorted(issues, key=lambda issue: issue.at))


def too_deep() -> ExpressionError:
    """Return the error for a text nested more deeply than an evaluation may recurse."""
    return ExpressionError(_PREFIX + "ERROR: <input>:-1:0: expression recursion limit exceeded")


def _render_one(text: str, issue: Issue) -> str:
    lines = text.split("\n")
    line = text.count("\n", 0, issue.at)
    column = issue.at - (text.rfind("\n", 0, issue.at) + 1)
    head = f"ERROR: <input>:{line + 1}:{column + 1}: {issue.message}"
    return f"{head}\n | {lines[line]}\n | {'.' * column}^" if lines[line] else head
