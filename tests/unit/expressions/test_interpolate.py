"""Partial evaluation with a run's event (flow-control.md §3.6)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.expressions import Activation, ExpressionError, Interpolated, compile, interpolate

EVENT = json.dumps(
    {
        "name": "a",
        "data": {
            "id": "ab_1",
            "max": 1295,
            "f": 1.5,
            "quoted": 'a"b\\c\n\u0001é',
            "yes": True,
            "no": False,
            "null": None,
            "list": ["a", 1, [True]],
            "map": {"k": 2},
            "big": 1e300,
        },
    }
).encode()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "event.data.id == async.data.id && async.data.n <= event.data.max",
            '"ab_1" == async.data.id && async.data.n <= 1295',
        ),
        ("async.data.x == 1", "async.data.x == 1"),
        ("async.data.x   ==   'a'", "async.data.x   ==   'a'"),
        ("event.data.nope == async.data.x", "null == async.data.x"),
        ("event.data.id == 'other' && async.data.x == 1", "false"),
        ("async.data.x == 1 && event.data.id == 'other'", "false"),
        ("event.data.nope == 'x'", "false"),
        ("event.data.nope == null && async.data.x == 1", "async.data.x == 1"),
        ("event.data.id == 'ab_1' || async.data.x == 1", "true"),
        ("async.data.x == 1 || event.data.yes", "true"),
        ("async.data.x || event.data.yes", "async.data.x || true"),
        ("event.data.yes && async.data.x", "async.data.x"),
        ("async.data.x == 1 && event.data.yes", "async.data.x == 1"),
        ("async.data.x && event.data.yes", "async.data.x && true"),
        ("async.data.x == 1 || event.data.no || async.data.y", "async.data.x == 1 || async.data.y"),
        ("async.data.x == event.data.quoted", 'async.data.x == "a\\"b\\\\c\\n\\u0001é"'),
        ("async.data.x == event.data.f", "async.data.x == 1.5"),
        ("async.data.x == event.data.big", "async.data.x == 1e+300"),
        ("async.data.x == event.data.list", 'async.data.x == ["a", 1, [true]]'),
        ("async.data.x in event.data.list", 'async.data.x in ["a", 1, [true]]'),
        ("event.data.map[async.data.k] == 2", '{"k": 2.0}[async.data.k] == 2'),
        ("async.data.n + event.data.max == '1'", 'async.data.n + 1295.0 == "1"'),
        ("event.data.yes ? async.data.a == 1 : async.data.b", "async.data.a == 1"),
        ("async.data.a ? event.data.id : event.data.nope", 'async.data.a ? "ab_1" : null'),
        ("event.data.list.exists(i, i == async.data.x)", '["a", 1.0, [true]].exists(i, i == async.data.x)'),
        ("async.data.xs.exists(i, i == event.data.id)", 'async.data.xs.exists(i, i == "ab_1")'),
        ("async.data.xs.map(i, i > event.data.f, i) == []", "async.data.xs.map(i, i > 1.5, i) == []"),
        ("async.data.xs.exists(event, event == 1)", "async.data.xs.exists(event, event == 1)"),
        ("has(event.data.id) && has(async.data.id)", "has(async.data.id)"),
        ("async.ts > date('2026-01-02') && event.data.yes", 'async.ts > timestamp("2026-01-02T00:00:00Z")'),
        ("now() > date('2026-01-02') && event.data.yes", 'now() > timestamp("2026-01-02T00:00:00Z")'),
        ("async.data.d == duration('90s') && event.data.yes", 'async.data.d == duration("1m30s")'),
        ("event.data.id - 1 == async.data.x", '"ab_1" - 1 == async.data.x'),
        ("(async.a == event.data.id || async.b) && !async.c", '(async.a == "ab_1" || async.b) && !async.c'),
        ("async.a - (async.b - event.data.f)", "async.a - (async.b - 1.5)"),
        ("-(-async.a) == event.data.f", "-(-async.a) == 1.5"),
        ("{'a': async.x, event.data.id: [async.y]} == 1", '{"a": async.x, "ab_1": [async.y]} == 1'),
        ("async.s.startsWith(event.data.id)", 'async.s.startsWith("ab_1")'),
    ],
)
def test_what_is_left(text: str, left: str) -> None:
    assert interpolate(text, EVENT) == Interpolated(left, never=left == "false")
    compile(left)


def test_false_as_written() -> None:
    assert interpolate("false", EVENT) == Interpolated("false", never=True)
    assert interpolate("null", EVENT) == Interpolated("null", never=False)


def test_syntax_error() -> None:
    with pytest.raises(ExpressionError, match="error compiling expression: ERROR: <input>:1:15"):
        interpolate("event.data.n >", EVENT)


OPERANDS = st.sampled_from(
    [
        "event.data.id",
        "event.data.max",
        "event.data.nope",
        "event.data.yes",
        "event.data.list",
        "async.data.a",
        "async.data.b",
        "async.data.nope",
        "'ab_1'",
        "1",
        "1.5",
        "true",
        "false",
        "null",
        "''",
    ]
)
JSON: st.SearchStrategy[object] = st.sampled_from(
    [None, True, False, 0, 1, 1.5, 1295, "", "ab_1", "x", [], ["a", 1, [True]], {}]
)


def combine(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["==", "!=", "<", ">=", "in", "+", "-", "&&", "||"])
    return st.one_of(
        st.builds(lambda left, sign, right: f"({left} {sign} {right})", parts, binary, parts),
        st.builds(lambda part: f"!{part}" if part.startswith("(") else f"({part})", parts),
        st.builds(lambda a, b, c: f"({a} ? {b} : {c})", parts, parts, parts),
        st.builds(lambda a, b: f"[{a}].exists(x, x == {b})", parts, parts),
    )


@settings(deadline=None)
@given(text=st.recursive(OPERANDS, combine, max_leaves=6), a=JSON, b=JSON)
def test_the_rest_reads_as_a_text_with_the_same_meaning(text: str, a: object, b: object) -> None:
    """Parsing what is left and interpolating once more changes nothing."""
    left = interpolate(text, EVENT)
    assert "event" not in left.text
    assert interpolate(left.text, EVENT).text == left.text
    scope = Activation(None, json.dumps({"data": {"a": a, "b": b}}).encode())
    compile(left.text).is_true(scope)


@settings(deadline=None)
@given(
    text=st.recursive(
        st.sampled_from(
            ["event.data.id == async.data.a", "async.data.b == event.data.max", "event.data.yes", "event.data.no"]
        ),
        lambda parts: st.builds(
            lambda left, sign, right: f"({left} {sign} {right})", parts, st.sampled_from(["&&", "||"]), parts
        ),
        max_leaves=8,
    ),
    a=JSON,
    b=JSON,
)
def test_boolean_expressions_keep_their_answer(text: str, a: object, b: object) -> None:
    arrived = json.dumps({"data": {"a": a, "b": b}}).encode()
    left = interpolate(text, EVENT)
    answer = compile(text).is_true(Activation(EVENT, arrived))
    assert compile(left.text).is_true(Activation(None, arrived)) is answer
    assert not (left.never and answer)
