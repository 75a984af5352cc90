"""CEL behind one small interface, and the equality index for waits.

The dialect is the reference's loose one (`protocol/flow-control.md` §3), so parser and evaluator are our own: CEL's
grammar, its operators replaced by those of `dialect`. Nothing here does I/O; only `now()` looks at a clock, and only if
the activation brings no time.
"""

from __future__ import annotations

from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import Expression, compile
from holdfast.server.expressions.errors import BudgetError, ExpressionError
from holdfast.server.expressions.index import EqualityIndex
from holdfast.server.expressions.interpolate import Interpolated, interpolate
from holdfast.server.expressions.policy import check, check_wait
from holdfast.server.expressions.scoped import Scoped
from holdfast.server.expressions.values import MISSING, Missing, Value

__all__ = [
    "MISSING",
    "Activation",
    "BudgetError",
    "EqualityIndex",
    "Expression",
    "ExpressionError",
    "Interpolated",
    "Missing",
    "Scoped",
    "Value",
    "check",
    "check_wait",
    "compile",
    "interpolate",
]
