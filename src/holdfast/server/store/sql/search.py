"""Search expressions as SQL conditions over JSON columns.

A condition is always true or false, never NULL, so that negation means what it says: a value that isn't there equals
nothing but `null`, and no order holds for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from holdfast.server.store.search import Junction, Negation, Text
from holdfast.server.store.sql.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.store.search import Expression
    from holdfast.server.store.sql.reader import Dialect

_SOURCES: Final = ("event", "output", "error")


def run_condition(dialect: Dialect, expressions: Sequence[Expression]) -> Condition:
    """Return the condition on a run `r` that all expressions make: for one of its events `e` (graphql.md §8)."""
    found = _all([condition(dialect, expression) for expression in expressions], " AND ")
    if "e.json" not in found.text:
        return found
    return Condition(dialect.any_event + found.text + ")", found.parameters)


def event_condition(dialect: Dialect, expressions: Sequence[Expression]) -> Condition:
    """What holds for an event `e` if all expressions do; of runs it knows nothing, so those comparisons are ignored."""
    return _all([condition(dialect, expression, sources=("event",)) for expression in expressions], " AND ")


def condition(dialect: Dialect, expression: Expression, sources: tuple[str, ...] = _SOURCES) -> Condition:
    """One expression, with the columns `r.output`, `r.status` and `e.json` in scope."""
    if isinstance(expression, Text):
        return _text(expression.text, dialect.event_text if sources == ("event",) else dialect.run_text)
    if isinstance(expression, Negation):
        inner = condition(dialect, expression.operand, sources)
        return Condition(f"NOT {inner.text}", inner.parameters)
    if isinstance(expression, Junction):
        operands = [condition(dialect, operand, sources) for operand in expression.operands]
        return _all(operands, " OR " if expression.any else " AND ")
    if expression.source not in sources:
        return Condition("(1 = 1)", [])
    return dialect.comparison(expression)


def _text(wanted: str, condition: str) -> Condition:
    """A text as it is, and as JSON may write it: many senders escape what is no ASCII."""
    forms = dict.fromkeys((wanted, json.dumps(wanted)[1:-1], json.dumps(wanted, ensure_ascii=False)[1:-1]))
    return _all([Condition(condition, [form] * condition.count("?")) for form in forms], " OR ")


def _all(conditions: list[Condition], junction: str) -> Condition:
    parameters = [parameter for found in conditions for parameter in found.parameters]
    return Condition(f"({junction.join(found.text for found in conditions)})", parameters)
