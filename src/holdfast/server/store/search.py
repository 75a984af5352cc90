"""The search language of run and event lists: comparisons of paths with constants (`protocol/graphql.md` §8).

A query is one expression per line. An expression compares `event.…`, `output.…` or `error.…` with a literal and joins
comparisons by `&&`, `||`, `!` and parentheses. Stores turn the tree that is read here into their own terms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import msgspec

from holdfast.protocol.limits import MAX_SEARCH, MAX_SEARCH_COMPARISONS

if TYPE_CHECKING:
    from collections.abc import Sequence

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Constant = str | int | float | bool | None
Source = Literal["event", "output", "error", ""]
"""What a path starts from; `""` is anything that a run doesn't have: such a comparison is ignored."""


class SearchError(ValueError):
    """A query that can't be read; the text is what the user sees."""


class Comparison(msgspec.Struct, frozen=True):
    """A value of a run or an event, compared with a constant. `path` holds names and list indexes below `source`."""

    source: Source
    path: tuple[str | int, ...]
    operator: Operator
    constant: Constant


class Negation(msgspec.Struct, frozen=True):
    """`!operand`."""

    operand: Expression


class Junction(msgspec.Struct, frozen=True):
    """All (`&&`) or any (`||`) of its operands."""

    any: bool
    operands: tuple[Expression, ...]


Expression = Comparison | Negation | Junction


def parse_search(query: str) -> tuple[Expression, ...]:
    """Read a query; all of its expressions must hold. An empty query has none.

    Raises SearchError with the text that the reference shows (§8), where it is known.
    """
    if len(query) > MAX_SEARCH:
        raise SearchError(f"the query is too long: {len(query)} characters; the limit is {MAX_SEARCH}")
    found = tuple(_Parser(line).parse() for line in query.split("\n") if line.strip())
    comparisons = sum(map(_comparisons, found))
    if comparisons > MAX_SEARCH_COMPARISONS:
        raise SearchError(f"the query compares {comparisons} times; the limit is {MAX_SEARCH_COMPARISONS}")
    return found


def _comparisons(tree: Expression) -> int:
    if isinstance(tree, Junction):
        return sum(map(_comparisons, tree.operands))
    return _comparisons(tree.operand) if isinstance(tree, Negation) else 1


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
      | (?P<int>0x[0-9a-fA-F]{1,15}|[0-9]+)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op>==|!=|<=|>=|&&|\|\||[<>!()\[\].,+\-*/%?:{}])
    )""",
    re.VERBOSE,
)
_OPERATORS: Final[dict[str, Operator]] = {"==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MIRRORED: Final[dict[Operator, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SOURCES: Final[dict[str, Source]] = {"event": "event", "output": "output", "error": "error"}
_KEYWORDS: Final[dict[str, Constant]] = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_EXPECTED: Final = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_UNSUPPORTED: Final = "invalid syntax detected"
_MACROS: Final = "macros are currently not supported"
_INTEGER_DIGITS: Final = 18
_DEEPEST: Final = 100
_ARITHMETIC: Final = frozenset("+-*/%?")


class _Path(msgspec.Struct, frozen=True):
    steps: tuple[str | int, ...]


class _Literal(msgspec.Struct, frozen=True):
    value: Constant


class _Parser:
    """Recursive descent over one line."""

    def __init__(self, line: str) -> None:
        self._line = line.strip()
        self._tokens = _tokens(self._line)
        self._at = 0
        self._depth = 0

    def parse(self) -> Expression:
        found = self._any()
        if self._kind:
            self._syntax_error()
        return found

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def _text(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else "<EOF>"

    def _take(self, *texts: str) -> bool:
        if self._kind == "op" and self._text in texts:
            self._at += 1
            return True
        return False

    def _any(self) -> Expression:
        return self._junction("||", self._all)

    def _all(self) -> Expression:
        return self._junction("&&", self._unary)

    def _junction(self, operator: str, operand: _Rule) -> Expression:
        operands = [operand()]
        while self._take(operator):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Junction(operator == "||", tuple(operands))

    def _unary(self) -> Expression:
        if self._text not in {"!", "("}:
            return self._comparison()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SearchError(_UNSUPPORTED)
        found = Negation(self._unary()) if self._next() == "!" else self._group()
        self._depth -= 1
        return found

    def _group(self) -> Expression:
        inner = self._any()
        if not self._take(")"):
            self._syntax_error()
        return inner

    def _comparison(self) -> Expression:
        left = self._operand()
        operator = _OPERATORS.get(self._text) if self._kind == "op" else None
        if operator is None:
            # A value that is compared with nothing; what follows it may be no expression at all.
            raise SearchError(_UNSUPPORTED if self._text in _ARITHMETIC else _MACROS)
        self._at += 1
        right = self._operand()
        if self._kind == "op" and self._text in _ARITHMETIC:
            raise SearchError(_UNSUPPORTED)
        return _compare(left, operator, right)

    def _operand(self) -> _Path | _Literal:
        if self._kind in {"int", "float", "string"} or self._text == "-":
            return _Literal(self._number() if self._kind != "string" else _unquote(self._next()))
        if self._kind != "name":
            self._syntax_error()
        name = self._next()
        if name in _KEYWORDS:
            return _Literal(_KEYWORDS[name])
        if self._text == "(":
            raise SearchError(_MACROS)
        return _Path((name, *self._path()))

    def _path(self) -> list[str | int]:
        steps: list[str | int] = []
        while self._text in {".", "["}:
            steps.append(self._index() if self._next() == "[" else self._member())
            if self._text == "(":
                raise SearchError(_UNSUPPORTED)
        return steps

    def _member(self) -> str:
        if self._kind != "name":
            self._syntax_error()
        return self._next()

    def _index(self) -> int:
        if self._kind != "int" or len(self._text) > _INTEGER_DIGITS:
            raise SearchError(_UNSUPPORTED)
        index = int(_number(self._next()))
        if not self._take("]"):
            self._syntax_error()
        return index

    def _number(self) -> int | float:
        sign = -1 if self._take("-") else 1
        if self._kind not in {"int", "float"}:
            self._syntax_error()
        return sign * _number(self._next())

    def _next(self) -> str:
        text = self._text
        self._at += 1
        return text

    def _syntax_error(self) -> NoReturn:
        raise SearchError(f"Syntax error: mismatched input '{self._text}' expecting {_EXPECTED}\n | {self._line}")


if TYPE_CHECKING:
    from collections.abc import Callable

    _Rule = Callable[[], Expression]


def _compare(left: _Path | _Literal, operator: Operator, right: _Path | _Literal) -> Expression:
    if isinstance(left, _Literal) and isinstance(right, _Path):
        left, operator, right = right, _MIRRORED[operator], left
    if not isinstance(left, _Path) or not isinstance(right, _Literal):
        return Comparison("", (), operator, None)
    source = _SOURCES.get(str(left.steps[0]), "")
    return Comparison(source, left.steps[1:] if source else (), operator, right.value)


def _number(text: str) -> int | float:
    """A literal; integers that no database takes for one become floats."""
    if text[:2] == "0x":
        return int(text, 16)
    return int(text) if text.isdecimal() and len(text) <= _INTEGER_DIGITS else float(text)


def _tokens(line: str) -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            raise SearchError(f"Syntax error: token recognition error at: '{line[at:].lstrip()[:1]}'\n | {line}")
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return found


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
