"""What is wrong with a durable function, as far as its code says: found without running it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.sdk.function import Function

#: Calls that give something else each time: outside of a step, each call of the run gets another value.
_CHANGING: Final = frozenset({
    "date.today", "datetime.now", "datetime.today", "datetime.utcnow", "os.urandom", "time.monotonic", "time.time",
    "time.time_ns", "uuid.uuid1", "uuid.uuid4", "uuid1", "uuid4",
})  # fmt: skip
_CHANGING_MODULES: Final = frozenset({"random", "secrets"})
_TAKES_BODY: Final = frozenset({"run", "wrap"})


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """Something wrong at a line of a file, with a code to look it up by."""

    file: str
    line: int
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code} {self.text}"


def check_code(function: Function[Any]) -> list[Problem]:
    """Return the problems of a function's code; none if its source can't be had."""
    handler = inspect.unwrap(function.original)
    try:
        lines, first = inspect.getsourcelines(handler)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return []
    file = inspect.getsourcefile(handler) or "?"
    body = next((node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))), None)
    if body is None or not body.args.args:
        return []
    found = _Reader(body.args.args[0].arg, function.local_id, first).read(body)
    return sorted(Problem(file, first + line - 1, code, text) for line, code, text in found)


class _Reader:
    """Reads one handler: what is in it, and what is within its steps."""

    def __init__(self, context: str, function_id: str, first: int) -> None:
        self._context = context
        self._function_id = function_id
        self._first = first
        self._named: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self._found: set[tuple[int, str, str]] = set()

    def read(self, handler: ast.FunctionDef | ast.AsyncFunctionDef) -> set[tuple[int, str, str]]:
        local = [node for node in ast.walk(handler) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        self._named = {node.name: node for node in local if node is not handler}
        calls = [node for node in ast.walk(handler) if isinstance(node, ast.Call)]
        bodies = [part for call in calls for part in self._bodies(call)]
        within = {id(node) for part in bodies for node in ast.walk(part)}
        for call in calls:
            if id(call) in within:
                self._check_within(call)
            else:
                self._check_outside(call)
        self._check_ids(handler, within)
        return self._found

    def _bodies(self, call: ast.Call) -> Iterator[ast.AST]:
        """Yield the code that a step runs: lambdas and local functions that it is given."""
        if self._step_method(call) not in _TAKES_BODY:
            return
        for argument in [*call.args[1:], *(each.value for each in call.keywords)]:
            if isinstance(argument, ast.Lambda):
                yield argument
            elif isinstance(argument, ast.Name) and argument.id in self._named:
                yield self._named[argument.id]

    def _step_method(self, call: ast.Call) -> str:
        """Return the method of `ctx.step` that is called; nothing for other calls."""
        path = _path(call.func)
        return path[-1] if path[:2] == [self._context, "step"] and len(path) > 2 else ""

    def _check_within(self, call: ast.Call) -> None:
        method = self._step_method(call)
        if method:
            self._note(call, "nested-step", f"step.{method} is called within another step of {self._function_id!r}")

    def _check_outside(self, call: ast.Call) -> None:
        path = _path(call.func)
        name = ".".join(path[-2:])
        if name in _CHANGING or (len(path) > 1 and path[0] in _CHANGING_MODULES):
            text = f"{'.'.join(path)}() gives another value in each call of the run: take it in a step"
            self._note(call, "not-deterministic", text)

    def _check_ids(self, handler: ast.AST, within: set[int]) -> None:
        """Note ids that are used twice in a row: they are two steps, told apart by their order only."""
        looped = {id(node) for loop in ast.walk(handler) if isinstance(loop, _LOOPS) for node in ast.walk(loop)}
        seen: dict[str, int] = {}
        for call in (node for node in ast.walk(handler) if isinstance(node, ast.Call)):
            step_id = _first_text(call)
            if not self._step_method(call) or step_id is None or id(call) in within or id(call) in looped:
                continue
            if step_id in seen and seen[step_id] != call.lineno:
                line = self._first + seen[step_id] - 1
                text = f"the step id {step_id!r} is used in line {line}, too"
                self._note(call, "same-step-id", text)
            seen.setdefault(step_id, call.lineno)

    def _note(self, node: ast.Call, code: str, text: str) -> None:
        self._found.add((node.lineno, code, text))


_LOOPS: Final = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def _path(node: ast.expr) -> list[str]:
    """Return the names of `a.b.c`; nothing for what is no such path."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _first_text(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def check_ids(functions: list[Function[Any]], place: Callable[[Function[Any]], tuple[str, int]]) -> list[Problem]:
    """Return a problem for each function that has the id of an earlier one."""
    seen: dict[str, Function[Any]] = {}
    found: list[Problem] = []
    for function in functions:
        if seen.setdefault(function.id, function) is not function:
            file, line = place(function)
            found.append(
                Problem(file, line, "same-function-id", f"the function id {function.local_id!r} is used twice")
            )
    return found
