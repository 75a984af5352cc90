"""Expressions over variables of the caller's, such as those that make an event of a webhook's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import Expression, closure
from holdfast.server.expressions.cost import weight
from holdfast.server.expressions.errors import ExpressionError, render, too_deep
from holdfast.server.expressions.parser import parse
from holdfast.server.expressions.policy import undeclared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.server.expressions.values import Value


class Scoped:
    """A compiled expression over named variables. Raises ExpressionError for a text that is none."""

    def __init__(self, text: str, names: frozenset[str]) -> None:
        try:
            node = parse(text)
            issues = list(undeclared(node, names))
            if issues:
                raise ExpressionError(render(text, issues))
            self._expression = Expression(text, closure(node, names), weight(node))
        except RecursionError:
            raise too_deep() from None

    def evaluate(self, variables: Mapping[str, Value], now_ms: int) -> Value:
        """Compute the value, which may be MISSING. Raises ExpressionError where the dialect has no answer."""
        scope = Activation(now_ms=now_ms)
        scope.variables = dict(variables)
        return self._expression.evaluate(scope)
