"""Why JSON can't be read, in the words that clients of the reference server see (`protocol/http-apis.md` §2.2)."""

from __future__ import annotations

import json
import re
from typing import Final

from holdfast.protocol.rawjson import mend

TRUNCATED: Final = "unexpected end of JSON input"
TOO_DEEP: Final = "exceeded max depth"

_STRING = re.compile(r'"(?:[^"\\]+|\\.)*"', re.DOTALL)
#: What the standard library's decoder says, and what follows the offending character in the text that clients see.
_AFTER_CHARACTER = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
    "Extra data": "after top-level value",
}


def _refuse(constant: str) -> float:
    raise ValueError(f"invalid character '{constant[0]}' looking for beginning of value")


DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)


def syntax_error(body: bytes) -> str:
    """Say what is wrong with a text that isn't JSON."""
    text = mend(body).decode()
    try:
        DECODER.decode(text)
    except json.JSONDecodeError as error:
        return explain(error)
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:
        return str(error)
    return TOO_DEEP


def explain(error: json.JSONDecodeError) -> str:
    """Translate the standard library's finding."""
    position = error.pos
    if error.msg == "Unterminated string starting at" or position >= len(error.doc):
        return TRUNCATED
    message = error.msg.partition(": ")[0]
    if message == "Invalid \\escape":
        position = min(position + 1, len(error.doc) - 1)
    if message == "Expecting ',' delimiter":
        where = "after object key:value pair" if _inside_object(error.doc[:position]) else "after array element"
    else:
        where = _AFTER_CHARACTER.get(message, "looking for beginning of value")
    return f"invalid character {quoted(error.doc[position])} {where}"


def quoted(character: str) -> str:
    """Quote a character as error texts do."""
    if character == "'":
        return "'\\''"
    return (
        f"'{character}'"
        if character == '"'
        else f"'{json.dumps(character, ensure_ascii=not character.isprintable())[1:-1]}'"
    )


def mismatch(kind: str, field: str, wanted: str) -> str:
    """Say that a member of an object has the wrong type; `field` is `<struct>.<member>`."""
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}"


def not_an_object(kind: str, wanted: str) -> str:
    """Say that something is no object at all."""
    return f"json: cannot unmarshal {kind} into Go value of type {wanted}"


def _inside_object(text: str) -> bool:
    """Whether the innermost open bracket of a truncated JSON text is a brace."""
    depth = 0
    for bracket in reversed(re.findall(r"[\[\]{}]", _STRING.sub("", text))):
        depth += 1 if bracket in "]}" else -1
        if depth < 0:
            return bool(bracket == "{")
    return False
