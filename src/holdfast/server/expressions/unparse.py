"""From a tree back to a text, with as few brackets as the grammar allows."""

from __future__ import annotations

import math
import re
from typing import Final

from holdfast.server.expressions.syntax import (
    Binary,
    Call,
    Comprehension,
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
from holdfast.server.expressions.values import Uint, Value, format_double

COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})

_TERNARY, _OR, _AND, _RELATION, _SUM, _PRODUCT, _SIGN, _MEMBER = range(8)
_POWERS: Final = {
    "||": _OR,
    "&&": _AND,
    **dict.fromkeys(COMPARISONS, _RELATION),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "%"), _PRODUCT),
}
_EXACT: Final = 2**53
_UNPRINTABLE: Final = re.compile(r'[\\"\x00-\x1f\x7f\ud800-\udfff]')
_NAMED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def unparse(node: Node, power: int = _TERNARY, *, compared: bool = False) -> str:
    """Write a tree so that parsing the text gives the same values.

    `power` is how strongly the surroundings bind; `compared` says that the value is only compared, in which case a
    double with no fraction is written as a plain integer, as the reference does.
    """
    text, own = _write(node, compared=compared)
    return f"({text})" if own < power else text


def _write(node: Node, *, compared: bool) -> tuple[str, int]:  # noqa: C901 - one case per kind of node
    match node:
        case Literal():
            text = _literal(node.value, compared=compared)
            return text, _SIGN if text.startswith("-") else _MEMBER
        case Name():
            return node.name, _MEMBER
        case Select():
            text = f"{unparse(node.operand, _MEMBER)}.{node.field}"
            return f"has({text})" if node.test else text, _MEMBER
        case Index():
            return f"{unparse(node.operand, _MEMBER)}[{unparse(node.key)}]", _MEMBER
        case Call():
            target = "" if node.target is None else unparse(node.target, _MEMBER) + "."
            return f"{target}{node.function}({_listed(node.arguments)})", _MEMBER
        case Unary():
            return node.operator + unparse(node.operand, _MEMBER), _SIGN
        case Binary():
            return _binary(node)
        case Logic():
            own = _POWERS[node.operator]
            return f" {node.operator} ".join(unparse(operand, own + 1) for operand in node.operands), own
        case Ternary():
            first, second = unparse(node.condition, _OR), unparse(node.then, _OR)
            return f"{first} ? {second} : {unparse(node.otherwise)}", _TERNARY
        case ListOf():
            return f"[{', '.join(unparse(item, compared=compared) for item in node.items)}]", _MEMBER
        case MapOf():
            return f"{{{', '.join(f'{unparse(key)}: {unparse(value)}' for key, value in node.pairs)}}}", _MEMBER
        case Comprehension():
            parts = (node.body,) if node.condition is None else (node.condition, node.body)
            return f"{unparse(node.target, _MEMBER)}.{node.fold}({node.variable}, {_listed(parts)})", _MEMBER
        case _:
            raise AssertionError(node)


def _binary(node: Binary) -> tuple[str, int]:
    own = _POWERS[node.operator]
    compared = node.operator in COMPARISONS
    left = unparse(node.left, own, compared=compared)
    return f"{left} {node.operator} {unparse(node.right, own + 1, compared=compared)}", own


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(unparse, nodes))


def _literal(value: Value, *, compared: bool) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Uint():
            return f"{int(value)}u"
        case int():
            return str(value)
        case float():
            return _double(value, compared=compared)
        case str():
            return _quoted(value)
        case bytes():
            return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
        case list():
            return f"[{', '.join(_literal(item, compared=compared) for item in value)}]"
        case dict():
            items = (
                f"{_literal(_key(key), compared=False)}: {_literal(item, compared=compared)}"
                for key, item in value.items()
            )
            return f"{{{', '.join(items)}}}"
        case _:
            return "null"


def _double(value: float, *, compared: bool) -> str:
    if not math.isfinite(value):
        return f'double("{format_double(value)}")'
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value)) if compared else f"{value:.1f}"
    text = format_double(value)
    return text if "." in text or "e" in text else f"{text}.0"


def _quoted(text: str) -> str:
    return f'"{_UNPRINTABLE.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return _NAMED.get(char) or ("\ufffd" if char >= "\ud800" else f"\\u{ord(char):04x}")


def _key(key: object) -> Value:
    return key if isinstance(key, (str, int, float)) else None
