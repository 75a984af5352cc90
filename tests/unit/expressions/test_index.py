"""The index finds exactly what testing every expression finds (flow-control.md §3.7)."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.expressions import Activation, EqualityIndex, ExpressionError, compile


def arrived(**data: object) -> Activation:
    return Activation(None, json.dumps({"name": "x", "data": data}).encode())


def test_only_the_value_asked_for() -> None:
    index: EqualityIndex[int] = EqualityIndex()
    for number in range(100):
        index.add(number, f'"id-{number}" == async.data.id')
    assert len(index) == 100
    assert list(index.candidates(arrived(id="id-7"))) == [7]
    assert index.matching(arrived(id="id-7")) == [7]
    assert index.matching(arrived(id="id-100")) == []
    assert index.matching(arrived()) == []


def test_in_the_order_added_whatever_the_kind() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    index.add("slow", "async.data.n > 1")
    index.add("by id", "async.data.id == 'a'")
    index.add("always", None)
    index.add("by other path", "async.data.n == 2 && async.data.id != null")
    index.add("by id too", "'a' == async.data['id']")
    assert index.matching(arrived(id="a", n=2)) == ["slow", "by id", "always", "by other path", "by id too"]
    assert index.matching(arrived(id="b", n=1)) == ["always"]


def test_candidates_are_tested_in_full() -> None:
    index: EqualityIndex[int] = EqualityIndex()
    index.add(1, "async.data.id == 'a' && async.data.n > 5")
    index.add(2, "async.data.id == 'a' && async.data.n - 'x' > 5")
    index.add(3, "async.data.id == 'a' && async.data.n > 1")
    assert list(index.candidates(arrived(id="a", n=2.0))) == [1, 2, 3]
    assert index.matching(arrived(id="a", n=2.0)) == [3]


def test_the_more_selective_of_two_equalities() -> None:
    index: EqualityIndex[int] = EqualityIndex()
    for number in range(50):
        index.add(number, f"async.data.tenant == 'acme' && async.data.id == {number}")
    assert list(index.candidates(arrived(tenant="acme", id=49))) == [0, 49]
    assert index.matching(arrived(tenant="acme", id=49)) == [49]


def test_broken_expressions_disturb_nobody() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    index.add("syntax", "async.data.id ==")
    index.add("deep", "(" * 5000)
    index.add("runtime", "async.data.id - 1 == 2")
    index.add("good", "async.data.id == 'a'")
    assert index.matching(arrived(id="a")) == ["good"]
    index.remove("syntax")
    assert len(index) == 3


def test_an_event_that_is_none() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    index.add("id", "async.data.id == null")
    index.add("slow", "async.data.id > 0")
    index.add("always", None)
    assert index.matching(Activation(None, b"nonsense")) == ["always"]


def test_remove_and_add_again() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    for key in ("a", "b", "c"):
        index.add(key, "async.data.id == 1")
    index.add("slow", "async.data.id > 0")
    index.remove("b")
    index.remove("unknown")
    assert index.matching(arrived(id=1)) == ["a", "c", "slow"]
    index.add("a", "async.data.id == 2")
    assert index.matching(arrived(id=1)) == ["c", "slow"]
    assert index.matching(arrived(id=2)) == ["a", "slow"][::-1]
    for key in ("a", "c", "slow"):
        index.remove(key)
    assert len(index) == 0
    assert index.matching(arrived(id=1)) == []


def test_values_are_compared_as_the_dialect_does() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    for literal in ("1", "1.0", "1u", "true", "'1'", "'true'", "null", "false", "0", "''"):
        index.add(literal, f"async.data.x == {literal}")
    assert index.matching(arrived(x=1)) == ["1", "1.0", "1u"]
    assert index.matching(arrived(x=True)) == ["true"]
    assert index.matching(arrived(x="1")) == ["'1'"]
    assert index.matching(arrived(x=None)) == ["null"]
    assert index.matching(arrived()) == ["null"]
    assert index.matching(arrived(x=False)) == ["false"]
    assert index.matching(arrived(x=0)) == ["0"]
    assert index.matching(arrived(x=[1])) == []
    assert index.matching(arrived(x={"a": 1})) == []


VALUES = st.sampled_from([None, True, False, 0, 1, 2.5, "", "a", "b", [1], {"a": 1}])
LITERALS = st.sampled_from(["null", "true", "false", "0", "1", "1.0", "2.5", "''", "'a'", '"b"', "[1]"])
PATHS = st.sampled_from(["async.data.a", "async.data['b']", "async.data.c.d", "async.name", "event.data.a"])
TERMS = st.one_of(
    st.builds(lambda path, sign, value: f"{path} {sign} {value}", PATHS, st.sampled_from(["==", "!=", ">"]), LITERALS),
    st.builds(lambda path, value: f"{value} == {path}", PATHS, LITERALS),
    st.builds(lambda path: f"{path} - 1 == 0", PATHS),
)
EXPRESSIONS = st.recursive(
    TERMS,
    lambda parts: st.builds(
        lambda left, sign, right: f"({left} {sign} {right})", parts, st.sampled_from(["&&", "&&", "||"]), parts
    ),
    max_leaves=5,
)


def brute_force(expression: str | None, activation: Activation) -> bool:
    try:
        return expression is None or compile(expression).is_true(activation)
    except ExpressionError:
        return False


@settings(deadline=None)
@given(
    expressions=st.lists(st.one_of(st.none(), EXPRESSIONS, st.just("async.data.a ==")), max_size=20),
    removed=st.sets(st.integers(0, 19)),
    values=st.tuples(VALUES, VALUES, VALUES),
)
def test_like_brute_force(
    expressions: list[str | None], removed: set[int], values: tuple[object, object, object]
) -> None:
    index: EqualityIndex[int] = EqualityIndex()
    for key, expression in enumerate(expressions):
        index.add(key, expression)
    for key in removed:
        index.remove(key)
    activation = arrived(a=values[0], b=values[1], c={"d": values[2]})
    expected = [
        key for key, expression in enumerate(expressions) if key not in removed and brute_force(expression, activation)
    ]
    assert index.matching(activation) == expected
    assert set(expected) <= set(index.candidates(activation))
