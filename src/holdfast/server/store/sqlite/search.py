"""Search expressions as SQL conditions over JSON columns.

A condition is always 0 or 1, never NULL, so that negation means what it says: a value that isn't there equals nothing
but `null`, and no order holds for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from holdfast.server.store.search import Comparison, Junction, Negation, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.store.search import Expression

_SOURCES: Final = {
    "event": "e.json",
    # A text that is no JSON has no members; JSON functions would raise on it.
    "output": "(CASE WHEN json_valid(r.output) THEN r.output END)",
    "error": (
        "(CASE WHEN r.status = 2 AND json_valid(r.output) THEN"
        " CASE json_type(r.output, '$.error') WHEN 'object' THEN r.output -> '$.error' ELSE r.output END END)"
    ),
}


_ANY_EVENT: Final = "EXISTS (SELECT 1 FROM events e WHERE e.id IN (SELECT value FROM json_each(r.event_ids)) AND "


class Condition:
    """An SQL text with its parameters, in order."""

    __slots__ = ("parameters", "text")

    def __init__(self, text: str, parameters: list[str | int | float]) -> None:
        self.text = text
        self.parameters = parameters


_EVENT_TEXT: Final = "(e.id = upper(?) OR instr(lower(CAST(e.json AS TEXT)), lower(?)) > 0)"
_RUN_TEXT: Final = (
    "(r.id = upper(?) OR instr(lower(CAST(ifnull(r.output, '') AS TEXT)), lower(?)) > 0 OR r.function_id IN"
    " (SELECT f.id FROM functions f WHERE instr(lower(f.name), lower(?)) > 0"
    " OR instr(lower(f.slug), lower(?)) > 0) OR EXISTS"
    " (SELECT 1 FROM events t WHERE t.id IN (SELECT value FROM json_each(r.event_ids))"
    " AND (t.id = upper(?) OR instr(lower(CAST(t.json AS TEXT)), lower(?)) > 0)))"
)


def run_condition(expressions: Sequence[Expression]) -> Condition:
    """Return the condition on a run `r` that all expressions make: for one of its events `e` (graphql.md §8)."""
    found = _all([condition(expression) for expression in expressions], " AND ")
    if "e.json" not in found.text:
        return found
    return Condition(_ANY_EVENT + found.text + ")", found.parameters)


def event_condition(expressions: Sequence[Expression]) -> Condition:
    """What holds for an event `e` if all expressions do; of runs it knows nothing, so those comparisons are ignored."""
    return _all([condition(expression, sources=("event",)) for expression in expressions], " AND ")


def condition(expression: Expression, sources: tuple[str, ...] = tuple(_SOURCES)) -> Condition:
    """One expression, with the columns `r.output`, `r.status` and `e.json` in scope."""
    if isinstance(expression, Text):
        return _text(expression.text, _EVENT_TEXT if sources == ("event",) else _RUN_TEXT)
    if isinstance(expression, Negation):
        inner = condition(expression.operand, sources)
        return Condition(f"NOT {inner.text}", inner.parameters)
    if isinstance(expression, Junction):
        operands = [condition(operand, sources) for operand in expression.operands]
        return _all(operands, " OR " if expression.any else " AND ")
    if expression.source not in sources:
        return Condition("1", [])
    return _comparison(expression)


def _text(wanted: str, condition: str) -> Condition:
    """A text as it is, and as JSON may write it: many senders escape what is no ASCII."""
    forms = dict.fromkeys((wanted, json.dumps(wanted)[1:-1], json.dumps(wanted, ensure_ascii=False)[1:-1]))
    return _all([Condition(condition, [form] * condition.count("?")) for form in forms], " OR ")


def _comparison(found: Comparison) -> Condition:
    column = _SOURCES[found.source]
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{json.dumps(step)}" for step in found.path)
    operator, constant = found.operator, found.constant
    kind = f"ifnull(json_type({column}, ?), 'null')"
    if operator == "!=":
        equal = _comparison(Comparison(found.source, found.path, "==", constant))
        return Condition(f"NOT {equal.text}", equal.parameters)
    if constant is None or isinstance(constant, bool):
        text = "null" if constant is None else "true" if constant else "false"
        return Condition(f"({kind} = '{text}')" if operator == "==" else "0", [path] if operator == "==" else [])
    kinds = "('text')" if isinstance(constant, str) else "('integer', 'real')"
    return Condition(
        f"({kind} IN {kinds} AND json_extract({column}, ?) {'=' if operator == '==' else operator} ?)",
        [path, path, constant],
    )


def _all(conditions: list[Condition], junction: str) -> Condition:
    parameters = [parameter for found in conditions for parameter in found.parameters]
    return Condition(f"({junction.join(found.text for found in conditions)})", parameters)
