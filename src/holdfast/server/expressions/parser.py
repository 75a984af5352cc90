"""The parser: CEL's grammar, from a text to a tree, with the reference's wording of syntax errors."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from holdfast.server.expressions.errors import ExpressionError, Issue, SyntaxIssues, too_deep
from holdfast.server.expressions.lexer import Token, read_text, tokenize
from holdfast.server.expressions.syntax import (
    Binary,
    Call,
    Comprehension,
    Fold,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)
from holdfast.server.expressions.values import INT_MAX, INT_MIN, UINT_MAX, Uint

# As many characters as the reference reads.
MAX_LENGTH: Final = 100_000
# How deeply brackets and operators may nest: far above any real expression, far below Python's own limit.
MAX_DEPTH: Final = 60

_CACHE: Final = 512
_POWER: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
}
_LOGIC: Final = frozenset({"&&", "||"})
# The words that an operand may start with, in the order of the reference's errors.
_STARTS: Final = (
    "[",
    "{",
    "(",
    ".",
    "-",
    "!",
    "true",
    "false",
    "null",
    "float",
    "int",
    "uint",
    "text",
    "bytes",
    "name",
)
_CLASSES: Final = {
    "float": "NUM_FLOAT",
    "int": "NUM_INT",
    "uint": "NUM_UINT",
    "text": "STRING",
    "bytes": "BYTES",
    "name": "IDENTIFIER",
}
_CLOSERS: Final = frozenset(")]},")
_NUMBERS: Final = frozenset({"int", "float"})
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while"}
)
_FOLDS: Final = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}


@lru_cache(_CACHE)
def parse(text: str) -> Node:
    """Read a text; ExpressionError with the reference's wording if it breaks the grammar (`flow-control.md` §3.5)."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"error compiling expression: ERROR: <input>:-1:0: expression code point size exceeds limit: "
            f"size: {len(text)}, limit {MAX_LENGTH}"
        )
    tokens, issues = tokenize(text)
    parser = _Parser(tokens)
    try:
        node = parser.whole()
    except _SyntaxError as error:
        raise SyntaxIssues(text, [*issues, error.issue]) from None
    except RecursionError:
        raise too_deep() from None
    if issues or parser.issues:
        raise SyntaxIssues(text, [*issues, *parser.issues])
    return node


class _SyntaxError(Exception):
    """Stops the parser at the first word that fits nowhere."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(at, message)


class _Parser:
    """One pass over the words, by operator precedence."""

    __slots__ = ("_depth", "_position", "_tokens", "issues")

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0
        self.issues: list[Issue] = []

    def whole(self) -> Node:
        node = self._expression()
        token = self._token
        if token.kind != "end":
            word = "extraneous" if self._following.kind == "end" else "mismatched"
            raise _SyntaxError(token.at, f"Syntax error: {word} input '{token.source}' expecting <EOF>")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    @property
    def _following(self) -> Token:
        return self._tokens[min(self._position + 1, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._tokens[self._position]
        if token.kind != "end":
            self._position += 1
        return token

    def _skip(self, kind: str) -> bool:
        if self._tokens[self._position].kind != kind:
            return False
        self._position += 1
        return True

    def _expect(self, kind: str, *others: str) -> Token:
        """Take one of the words; the error names what the reference would have expected here."""
        token = self._token
        if token.kind == kind or token.kind in others:
            return self._next()
        raise _SyntaxError(token.at, f"Syntax error: {self._unexpected(token, kind, others)}")

    def _unexpected(self, token: Token, kind: str, others: tuple[str, ...]) -> str:
        if others and kind != ")":
            word = "extraneous" if self._following.kind in {kind, *others} else "mismatched"
            listed = ", ".join(f"'{each}'" for each in (kind, *others))
            return f"{word} input '{token.source}' expecting {{{listed}}}"
        if token.kind != "end" and self._following.kind == kind:
            return f"extraneous input '{token.source}' expecting '{kind}'"
        if kind in _CLOSERS or token.kind in _STARTS:
            return f"missing '{kind}' at '{token.source}'"
        return f"mismatched input '{token.source}' expecting '{kind}'"

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep()

    def _expression(self, closer: str = "") -> Node:
        """Read a whole expression; `closer` is the bracket that may stand here instead of one."""
        self._deeper()
        condition = self._binary(1, closer)
        if not self._skip("?"):
            self._depth -= 1
            return condition
        at = self._tokens[self._position - 1].at
        then = self._binary(1)
        self._expect(":")
        node = Ternary(at, condition, then, self._expression())
        self._depth -= 1
        return node

    def _binary(self, power: int, closer: str = "") -> Node:
        left = self._unary(closer)
        depth = self._depth
        while (strength := _POWER.get(self._token.kind, 0)) >= power:
            self._deeper()
            token = self._next()
            if token.kind in _LOGIC:
                left = self._logic(token, left, strength)
            else:
                left = Binary(token.at, token.kind, left, self._binary(strength + 1))
        self._depth = depth
        return left

    def _logic(self, token: Token, first: Node, strength: int) -> Node:
        operands = [first, self._binary(strength + 1)]
        while self._skip(token.kind):
            operands.append(self._binary(strength + 1))
        return Logic(token.at, token.kind, tuple(operands))

    def _unary(self, closer: str = "") -> Node:
        token = self._token
        if token.kind not in {"!", "-"}:
            return self._member(closer)
        if token.kind == "-" and self._following.kind in _NUMBERS:
            return self._member(closer)
        count = 0
        while self._skip(token.kind):
            count += 1
        if self._token.kind not in _STARTS and token.kind == "-":
            raise _SyntaxError(self._token.at, f"Syntax error: no viable alternative at input '{token.source}'")
        self._deeper()
        operand = self._member()
        self._depth -= 1
        # An even number of signs cancels out.
        return Unary(token.at, token.kind, operand) if count % 2 else operand

    def _member(self, closer: str = "") -> Node:
        node = self._primary(closer)
        depth = self._depth
        while True:
            token = self._token
            if self._skip("."):
                node = self._selected(node, token)
            elif self._skip("["):
                node = Index(token.at, node, self._expression("?"))
                self._expect("]")
            elif self._token.kind == "{" and isinstance(node, (Name, Select)):
                raise _SyntaxError(token.at, "Syntax error: messages are not supported")
            else:
                break
            self._deeper()
        self._depth = depth
        return node

    def _selected(self, operand: Node, dot: Token) -> Node:
        token = self._token
        if token.kind != "name":
            source = "" if token.kind == "end" else token.source
            raise _SyntaxError(token.at, f"Syntax error: no viable alternative at input '.{source}'")
        self._next()
        opening = self._token
        if not self._skip("("):
            return Select(dot.at, operand, token.source)
        arguments = self._items(")")
        if len(arguments) in _FOLDS.get(token.source, ()):
            return self._comprehension(token, operand, arguments)
        return Call(opening.at, token.source, arguments, operand)

    def _comprehension(self, name: Token, target: Node, arguments: tuple[Node, ...]) -> Node:
        variable, *rest = arguments
        fold = cast("Fold", name.source)
        if not isinstance(variable, Name):
            self.issues.append(Issue(variable.at, "argument must be a simple name"))
            return target
        condition = rest[0] if len(rest) > 1 else None
        return Comprehension(name.at, fold, target, variable.name, rest[-1], condition)

    def _primary(self, closer: str) -> Node:
        token = self._next()
        match token.kind:
            case "name":
                return self._named(token)
            case "." if self._token.kind == "name":
                return self._named(self._next())
            case "(":
                node = self._expression()
                self._expect(")")
                return node
            case "[":
                return ListOf(token.at, self._items("]"))
            case "{":
                return self._map(token)
            case "-" if self._token.kind in _NUMBERS:
                return self._number(self._next(), token)
            case "int" | "uint" | "float":
                return self._number(token)
            case "text" | "bytes":
                return self._text(token)
            case "true" | "false" | "null":
                return Literal(token.at, _CONSTANTS[token.kind])
            case _:
                raise self._no_operand(token, closer)

    def _no_operand(self, token: Token, closer: str) -> _SyntaxError:
        word = "extraneous" if token.kind != "end" and self._token.kind in _STARTS else "mismatched"
        place = 6 if closer == "?" else 3
        expected = ", ".join(_CLASSES.get(kind, f"'{kind}'") for kind in (*_STARTS[:place], *closer, *_STARTS[place:]))
        return _SyntaxError(token.at, f"Syntax error: {word} input '{token.source}' expecting {{{expected}}}")

    def _named(self, token: Token) -> Node:
        if token.source in _RESERVED:
            self.issues.append(Issue(token.at, f"reserved identifier: {token.source}"))
        opening = self._token
        if not self._skip("("):
            return Name(token.at, token.source)
        arguments = self._items(")")
        if token.source != "has" or len(arguments) != 1:
            return Call(opening.at, token.source, arguments)
        field = arguments[0]
        if isinstance(field, Select) and not field.test:
            return Select(field.at, field.operand, field.field, test=True)
        self.issues.append(Issue(field.at, "invalid argument to has() macro"))
        return field

    def _items(self, closer: str) -> tuple[Node, ...]:
        if self._skip(closer):
            return ()
        items = [self._expression(closer)]
        while not self._skip(closer):
            self._expect(closer, ",")
            if closer != ")" and self._skip(closer):  # only lists may end with a comma
                break
            items.append(self._expression())
        return tuple(items)

    def _map(self, opening: Token) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._skip("}"):
            if pairs:
                self._expect("}", ",")
                if self._skip("}"):
                    break
            key = self._expression("}")
            self._expect(":")
            pairs.append((key, self._expression()))
        return MapOf(opening.at, tuple(pairs))

    def _number(self, token: Token, sign: Token | None = None) -> Node:
        at = token.at if sign is None else sign.at
        if token.kind == "float":
            value = float(token.source)
            return Literal(at, -value if sign else value)
        source = token.source.rstrip("uU")
        number = int(source, 16 if source.startswith("0x") else 10) if len(source) < 40 else INT_MAX * 4
        if token.kind == "uint":
            return self._bounded(token, at, Uint(number), 0, UINT_MAX)
        return self._bounded(token, at, -number if sign else number, INT_MIN, INT_MAX)

    def _bounded(self, token: Token, at: int, number: int, low: int, high: int) -> Node:
        if not low <= number <= high:
            self.issues.append(Issue(at, f"invalid {token.kind} literal"))
        return Literal(at, number)

    def _text(self, token: Token) -> Node:
        try:
            return Literal(token.at, read_text(token))
        except ValueError:
            self.issues.append(Issue(token.at, "invalid string literal"))
            return Literal(token.at, "")
