"""What an evaluation may cost: whatever the expression, whatever the event."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.protocol.limits import EXPRESSION_VALUES, EXPRESSION_WORK
from holdfast.server.expressions import (
    Activation,
    BudgetError,
    EqualityIndex,
    ExpressionError,
    Scoped,
    compile,
    interpolate,
)
from holdfast.server.expressions.large import values

#: Far more than an evaluation takes, and far less than one without a budget: machines that test are busy.
SECONDS = 1.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done takes no longer: CPU time of this thread, without collections of other tests' garbage."""
    gc.disable()
    began = time.thread_time()
    try:
        yield
    finally:
        took = time.thread_time() - began
        gc.enable()
    assert took < seconds


def event(**data: object) -> bytes:
    return json.dumps({"name": "a", "data": data}).encode()


NUMBERS = [float(n) for n in range(8_000)]
LONG = "x" * 1_000_000
COSTLY = {
    "list in list": ("event.data.a.exists(t, t in event.data.b)", event(a=NUMBERS, b=[-n - 1 for n in NUMBERS])),
    "equal lists": ("event.data.a.exists(t, event.data.a != event.data.b)", event(a=NUMBERS, b=NUMBERS)),
    "equal maps": (
        "event.data.l.exists(t, event.data.a != event.data.b)",
        event(l=NUMBERS, a={str(n): n for n in range(5_000)}, b={str(n): n for n in range(5_000)}),
    ),
    "equal texts": ("event.data.l.exists(t, event.data.a != event.data.b)", event(l=NUMBERS, a=LONG, b=LONG)),
    "ordered texts": ("event.data.l.exists(t, event.data.a < event.data.b)", event(l=NUMBERS, a=LONG, b=LONG)),
    "key of a map": ("event.data.l.exists(t, (event.data.a + 'y') in event.data)", event(l=NUMBERS, a=LONG)),
    "doubled text": ("[event.data.a]" + ".map(x, x + x)" * 40 + ".size() == 1", event(a="x" * 1_000)),
    "doubled list": ("[event.data.a]" + ".map(x, x + x)" * 40 + ".size() == 1", event(a=[1, 2, 3])),
    "nested list as text": ("'' + [[1]]" + ".map(x, [x, x])" * 40 + " == ''", event()),
    "nested list compared": (
        "[[1]]" + ".map(x, [x, x])" * 25 + " == [[1]]" + ".map(x, [x, x])" * 25, event(),
    ),
    "macros in macros": ("event.data.a.all(x, event.data.a.all(y, event.data.a.all(z, z >= 0.0)))", event(a=NUMBERS)),
    "map over map": ("event.data.a.map(x, event.data.a.map(y, y)).size() == 0", event(a=NUMBERS)),
    "errors passed over": ("event.data.a.exists(x, event.data.a.exists(y, y < 'a'))", event(a=NUMBERS)),
    "conditions that fail": ("event.data.a.all(x, (x < 'a' ? true : true) && (x < 'a' || true))", event(a=NUMBERS)),
    "contains": (
        "event.data.l.exists(t, event.data.a.contains(event.data.b))",
        event(l=NUMBERS, a="a" * 2_499, b="a" * 1_249 + "b" + "a" * 50),
    ),
    "starts with": ("event.data.l.exists(t, event.data.a.startsWith(event.data.a) == false)", event(l=NUMBERS, a=LONG)),
    "case": ("event.data.l.exists(t, lowercase(event.data.a) == '')", event(l=NUMBERS, a=LONG)),
    "base64": ("event.data.l.exists(t, b64decode(event.data.a) == '')", event(l=NUMBERS, a=LONG)),
    "json": ("event.data.l.exists(t, json_parse(event.data.a) == 1)", event(l=NUMBERS, a="[" + "1," * 40_000 + "1]")),
    "bytes": ("event.data.l.exists(t, string(bytes(event.data.a)) == '')", event(l=NUMBERS, a=LONG)),
    "dates": ("event.data.l.exists(t, date(event.data.a) == 1)", event(l=NUMBERS, a="2024-01-01 10:00:00")),
    "dates of blanks": ("event.data.l.exists(t, date(event.data.a) == 1)", event(l=NUMBERS, a="jan" + " " * 5_000)),
    "durations": ("event.data.l.exists(t, duration(event.data.a) == 1)", event(l=NUMBERS, a="1h" * 500)),
    "moments": ("event.data.l.exists(t, now_plus(event.data.a) == 1)", event(l=NUMBERS, a="1h" * 500)),
    "times as texts": ("event.data.l.exists(t, string(now()) == '')", event(l=NUMBERS)),
    "zones": ("event.data.l.exists(t, timestamp('2024-01-01T00:00:00Z').getHours(string(t)) == 1)", event(l=NUMBERS)),
    "pattern": ("event.data.l.exists(t, event.data.a.matches('(x+x+)+y'))", event(l=NUMBERS, a="x" * 5_000)),
    "states": ("event.data.a.matches('(a?){400}b[^c]{400}$')", event(a="ab" * 20_000)),
    "pattern of the event": ("event.data.a.matches(event.data.b)", event(a=LONG, b="[" + "a-z" * 300_000 + "]")),
    "sets": (
        "event.data.a.matches(event.data.b)",
        event(a="".join(map(chr, range(300, 5_000))), b="[" + "\\d" * 2_000 + "]"),
    ),
    "many patterns": ("event.data.l.exists(t, 'x'.matches('a{500}' + string(t)))", event(l=NUMBERS)),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_what_costs_too_much_is_given_up(name: str) -> None:
    text, raw = COSTLY[name]
    told: list[str] = []
    expression, activation = compile(text), Activation(raw, raw, on_exceeded=told.append)
    assert activation.event  # decoded: what follows is the evaluation alone
    with within(SECONDS):
        assert not expression.is_true(activation)
    assert told == [text]
    with pytest.raises(BudgetError, match="100,000 units of work"):
        expression.evaluate(activation)
    with pytest.raises(BudgetError, match="units of work"):
        expression.key(activation)


@pytest.mark.parametrize("name", ["doubled text", "doubled list", "nested list as text", "map over map"])
def test_what_would_take_gigabytes_takes_little(name: str) -> None:
    text, raw = COSTLY[name]
    expression, activation = compile(text), Activation(raw)
    tracemalloc.start()
    try:
        assert not expression.is_true(activation)
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_the_budget_is_that_of_one_evaluation() -> None:
    activation = Activation(event(a=NUMBERS))
    expression = compile("event.data.a.all(x, x >= 0.0)")
    for _ in range(20):
        assert expression.is_true(activation)


def test_what_is_ordinary_is_far_from_the_limit() -> None:
    activation = Activation(event(tags=[f"t{n}" for n in range(200)], allowed=[f"u{n}" for n in range(100)]))
    assert not compile("event.data.tags.exists(t, t in event.data.allowed)").is_true(activation)
    assert activation.left > EXPRESSION_WORK // 4


def test_interpolation_has_a_budget_and_a_length() -> None:
    for text in ("async.data.x == [event.data.a]" + ".map(x, [x, x])" * 30, "async.data.x in event.data.big"):
        with pytest.raises(ExpressionError, match=r"units of work|more than 100,000 characters"):
            interpolate(text, event(a="x" * 1_000, big=["x" * 1_000] * 200))


@pytest.mark.parametrize("function", ["duration", "now_plus", "now_minus"])
def test_a_long_text_is_no_duration(function: str) -> None:
    activation = Activation(event(a="1h" * 1_000_000))
    expression = compile(f"{function}(event.data.a) == now()")
    with within(SECONDS):
        assert not expression.is_true(activation)


def test_a_value_of_named_variables_has_a_budget() -> None:
    scoped = Scoped("body" + ".map(x, x + x)" * 40, frozenset({"body"}))
    with pytest.raises(BudgetError):
        scoped.evaluate({"body": ["x" * 1_000]}, 0)


# --- large events -----------------------------------------------------------------------------------------------------

ROWS = [{"id": n, "x": [1]} for n in range(60_000)]
LARGE = event(k="v", none=None, rows=ROWS, few=[1, 2], nested={"deep": {"k": 5}}, text="," * 100_000)


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("event.data.k == 'v'", True),
        ("async.data.k == 'v' && event.name == 'a'", True),
        ("event.data['k'] == 'v'", True),
        ("has(event.data.k) && !has(event.data.missing)", True),
        ("event.data.few == [1.0, 2.0]", True),
        ("event.data.nested.deep.k == 5.0", True),
        ("event.data.nested == {'deep': {'k': 5.0}}", True),
        ("event.data.text.size() == 100000", True),
        ("event.data.none == null", True),
        ("event.data.k.deeper == null && event.missing.x == null", True),
        ("event.user == {} && event.user.x == null", True),
        ("event.data.rows.size() == 60000", False),
    ],
)
def test_of_a_large_event_only_what_is_looked_at_counts(text: str, *, true: bool) -> None:
    assert values(LARGE) > EXPRESSION_VALUES
    told: list[str] = []
    assert compile(text).is_true(Activation(LARGE, LARGE, on_exceeded=told.append)) is true
    assert told == ([] if true else [text])


def test_waits_are_found_by_large_events() -> None:
    index: EqualityIndex[str] = EqualityIndex()
    index.add("k", "async.data.k == 'v'")
    index.add("other", "async.data.k == 'w'")
    index.add("rows", "async.data.rows == 'v'")
    assert index.matching(Activation(None, LARGE)) == ["k"]


# --- any expression on any event --------------------------------------------------------------------------------------

PATHS = st.sampled_from(
    ["event.data.a", "event.data.b", "event.data.c", "event.data", "event", "async.data.a", "x", "y"]
)
LITERALS = st.sampled_from(["1", "1.5", "'a'", "true", "null", "[1, 'a']", "{'a': [1]}", "b'ab'", "'(a+)+b'", "2u"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def joined(*parts: st.SearchStrategy[str], form: str) -> st.SearchStrategy[str]:
        return st.tuples(*parts).map(lambda given: form.format(*given))

    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||"])
    folds = st.sampled_from(["all", "exists", "exists_one", "map", "filter"])
    functions = st.sampled_from(
        [
            "size",
            "lowercase",
            "uppercase",
            "b64decode",
            "json_parse",
            "date",
            "int",
            "double",
            "string",
            "bytes",
            "type",
            "duration",
            "timestamp",
            "now_plus",
        ]
    )
    methods = st.sampled_from(["contains", "startsWith", "endsWith", "matches"])
    return st.one_of(
        joined(inner, operators, inner, form="({0} {1} {2})"),
        joined(inner, folds, st.sampled_from("xy"), inner, form="{0}.{1}({2}, {3})"),
        joined(functions, inner, form="{0}({1})"),
        joined(inner, methods, inner, form="{0}.{1}({2})"),
        joined(inner, inner, inner, form="({0} ? {1} : {2})"),
        joined(inner, inner, form="[{0}, {1}]"),
        joined(inner, inner, form="{{'k': {0}, 'l': {1}}}"),
        joined(inner, inner, form="{0}[{1}]"),
        joined(inner, form="!({0})"),
    )


EXPRESSIONS = st.recursive(st.one_of(PATHS, LITERALS), _grown, max_leaves=14)
SIZES = st.sampled_from([0, 1, 30, 1_000, 20_000])


KINDS: dict[str, Callable[[int], Any]] = {
    "texts": lambda n: ["a" * 40] * n,
    "numbers": lambda n: list(range(n)),
    "text": lambda n: "ab" * n,
    "duration": lambda n: "1h" * n,
    "blanks": lambda n: "jan" + " " * n,
    "json": lambda n: "[" + "1," * n + "1]",
    "map": lambda n: {f"k{k}": k for k in range(n)},
    "lists": lambda n: [[k, [k]] for k in range(n)],
}
SHAPES = st.fixed_dictionaries({name: st.tuples(st.sampled_from(sorted(KINDS)), SIZES) for name in "abc"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(EXPRESSIONS, SHAPES)
def test_any_expression_on_any_event_stays_within_its_budget(text: str, shapes: dict[str, tuple[str, int]]) -> None:
    raw = event(**{name: KINDS[kind](size) for name, (kind, size) in shapes.items()})
    activation = Activation(raw, raw)
    try:
        expression = compile(f"[1].map(x, [2].map(y, {text}))")
        assert activation.event_whole or activation.look_up_event(("name",))
    except ExpressionError:
        return
    with within(SECONDS):
        try:
            expression.key(activation)
        except BudgetError:
            assert activation.left < EXPRESSION_WORK
        except ExpressionError:
            pass


@pytest.mark.parametrize(("text", "key"), [("[type(1)]", "[int]"), ("[[type('')]]", "[[string]]")])
def test_a_type_within_a_list_can_be_a_key(text: str, key: str) -> None:
    assert compile(text).key(Activation(event(), event())) == key
