"""Words of an expression: CEL's lexical grammar, and what the reference says about characters outside of it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from holdfast.server.expressions.errors import Issue

_ESCAPE: Final = r"\\(?:[abfnrtv\"'`?\\]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
_TEXTS: Final = "|".join(
    (
        rf'"""(?:[^\\]|{_ESCAPE})*?"""',
        rf"'''(?:[^\\]|{_ESCAPE})*?'''",
        rf'"(?:[^\\"\n\r]|{_ESCAPE})*"',
        rf"'(?:[^\\'\n\r]|{_ESCAPE})*'",
    )
)
_RAW_TEXTS: Final = r'""".*?"""' + r"|'''.*?'''" + r'|"[^"\n\r]*"' + r"|'[^'\n\r]*'"
_TOKEN: Final = re.compile(
    rf"""
      (?P<blank>[ \t\r\n\f]+|//[^\n]*)
    | (?P<text>(?P<flag>[bB]?[rR])(?P<raw>{_RAW_TEXTS})|(?P<bytes>[bB]?)(?P<quoted>{_TEXTS}))
    | (?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    | (?P<int>(?:0x[0-9a-fA-F]+|[0-9]+)(?P<unsigned>[uU]?))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>==|!=|<=|>=|&&|\|\||[-<>+*/%!?:.,()\[\]{{}}])
    """,
    re.VERBOSE | re.DOTALL,
)
_BROKEN_TEXT: Final = re.compile(rf"""[bB]?[rR]?(["'])(?:(?!\1)[^\\\n\r]|{_ESCAPE})*(?:\\.?|\n|\r)?""", re.DOTALL)
_WORDS: Final = frozenset({"in", "true", "false", "null"})
_ESCAPES: Final = re.compile(_ESCAPE)
_CONTROL: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HEXADECIMAL: Final = frozenset("xXuU")
_MAX_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_TRIPLE: Final = ('"""', "'''")


class Token(msgspec.Struct, frozen=True, gc=False):
    """One word, as the text has it in `source`.

    `kind` is the word itself for signs and reserved words, else `text`, `bytes`, `float`, `int`, `uint`, `name`, `end`.
    """

    kind: str
    source: str
    at: int


def tokenize(text: str) -> tuple[list[Token], list[Issue]]:
    """Split a text into words, the last one being `end`, and name the characters that belong to none."""
    tokens: list[Token] = []
    issues: list[Issue] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            wrong = _unknown(text, at)
            issues.append(Issue(at, f"Syntax error: token recognition error at: '{_visible(wrong)}'"))
            at += len(wrong)
            continue
        if match.lastgroup != "blank":
            tokens.append(Token(_kind(match), match[0], at))
        at = match.end()
    tokens.append(Token("end", "<EOF>", len(text)))
    return tokens, issues


def read_text(token: Token) -> str | bytes:
    """Read the literal of a `text` or `bytes` token; ValueError for an escape that names no character."""
    source = token.source
    body = source.lstrip("bBrR")
    raw = "r" in source[: len(source) - len(body)].lower()
    edge = 3 if body.startswith(_TRIPLE) else 1
    body = body[edge:-edge].replace("\r\n", "\n").replace("\r", "\n")
    if token.kind == "text":
        return body if raw or "\\" not in body else _ESCAPES.sub(_unescape, body)
    if raw:
        return body.encode()
    return b"".join(_bytes_of(part) for part in re.split(f"({_ESCAPE})", body))


def _kind(match: re.Match[str]) -> str:
    word = match[0]
    match match.lastgroup:
        case "sign":
            return word
        case "name":
            return word if word in _WORDS else "name"
        case "int":
            return "uint" if match["unsigned"] else "int"
        case "float":
            return "float"
        case _:
            return "bytes" if word[0] in "bB" else "text"


def _unknown(text: str, at: int) -> str:
    """Find what the lexer skips: up to and with the character that no word can go on with."""
    broken = _BROKEN_TEXT.match(text, at)
    if broken is not None:
        return broken[0]
    return text[at : at + 2] if text[at] in "=&|" else text[at]


def _visible(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _unescape(match: re.Match[str]) -> str:
    escape = match[0][1:]
    if escape[0] in _HEXADECIMAL or escape[0] == "U":
        code = int(escape[1:], 16)
    elif escape[0].isdigit():
        code = int(escape, 8)
    else:
        return _CONTROL.get(escape, escape)
    if code > _MAX_CODE_POINT or code in _SURROGATES:
        raise ValueError("not a character")
    return chr(code)


def _bytes_of(part: str) -> bytes:
    if not part.startswith("\\"):
        return part.encode()
    if part[1] in "xX":
        return bytes.fromhex(part[2:])
    if part[1].isdigit():
        return bytes([int(part[1:], 8)])
    if part[1] in "uU":
        raise ValueError("no unicode escapes in bytes")
    return _CONTROL.get(part[1:], part[1:]).encode()
