"""Bad input for APIs: any bytes, any JSON, and valid documents that were damaged in one or two places."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

Json = Any

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "é",
    "𝄞",
    "null",
    "0",
    "-1",
    "1e999",
    "../..",
    "%",
    "%zz",
    "'",
    '"',
    "\\",
    "a" * 300,
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "99999999-9999-9999-9999-999999999999",
    "2026-01-01T00:00:00Z",
    "1h",
    "9999999h",
    "-5s",
    "event.data.a == async.data.a",
    "event.",
    "((((",
    "https://",
    "http://127.0.0.1:1/",
    "inngest/function.finished",
    "inngest/function.invoked",
    "inngest/scheduled.timer",
    "NaN",
    "true",
)
ODD_NUMBERS = (
    0,
    -1,
    1,
    0.5,
    -0.0,
    1e308,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**400,
    1_795_253_887_409,
    253_402_300_800_000,
)
RAW_TOKENS = (b"NaN", b"Infinity", b"1E+400", b"-", b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b"[" * 600, b"{" * 600)

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(ODD_NUMBERS)
    | st.sampled_from(ODD_TEXTS)
    | st.text(max_size=8)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(ODD_TEXTS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def dumps(value: Json) -> bytes:
    """JSON with lone surrogates left as escapes."""
    return json.dumps(value, separators=(",", ":")).encode()


def places(value: Json, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values within a document."""
    inner: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


def changed(document: Json, place: tuple[str | int, ...], how: str, value: Json) -> Json:
    """A copy of a document with one value replaced, dropped, doubled or wrapped."""
    if not place:
        return value if how == "replace" else [document]
    result = copy.deepcopy(document)
    holder = result
    for key in place[:-1]:
        holder = holder[key]
    key = place[-1]
    if how == "replace":
        holder[key] = value
    elif how == "drop":
        del holder[key]
    elif how == "wrap":
        holder[key] = [holder[key]]
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[str(value)] = copy.deepcopy(holder[key])
    return result


@st.composite
def damaged(draw: st.DrawFn, documents: list[Json]) -> Json:
    """A valid document, damaged in up to three places."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places(document)))
        document = changed(
            document, place, draw(st.sampled_from(("replace", "replace", "drop", "wrap", "double"))), draw(values)
        )
    return document


@st.composite
def cut(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body with bytes cut out or put in."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)) | st.just(len(body)))
    return body[:start] + draw(st.binary(max_size=6) | st.sampled_from(RAW_TOKENS)) + body[end:]


def bodies(documents: list[Json]) -> st.SearchStrategy[bytes]:
    """Bodies for a route whose valid documents are like these."""
    nearly = damaged(documents).map(dumps)
    return nearly | nearly | cut(nearly) | values.map(dumps) | st.binary(max_size=60) | st.sampled_from(RAW_TOKENS)


header_texts = st.sampled_from([t for t in ODD_TEXTS if t.isascii() and t.isprintable()]) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)


def headers(*names: str) -> st.SearchStrategy[dict[str, str]]:
    """Some of these headers, with any value that HTTP can carry."""
    return st.dictionaries(st.sampled_from(names), header_texts, max_size=3)
