"""What registrations and waits may contain (flow-control.md §3.5), with the reference's recorded texts."""

from __future__ import annotations

import pytest

from holdfast.protocol.functions import ExpressionUse
from holdfast.server.expressions import check, check_wait

CHECKED = [
    ExpressionUse.TRIGGER,
    ExpressionUse.RATE_LIMIT_KEY,
    ExpressionUse.DEBOUNCE_KEY,
    ExpressionUse.BATCH_KEY,
    ExpressionUse.BATCH_IF,
    ExpressionUse.CANCEL_IF,
]
SYNTAX_ONLY = [ExpressionUse.CONCURRENCY_KEY, ExpressionUse.PRIORITY]

OPERANDS = (
    "expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
    "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


@pytest.mark.parametrize(
    ("text", "use", "error"),
    [
        (
            "event.data.n >",
            ExpressionUse.TRIGGER,
            f"1:15: Syntax error: mismatched input '<EOF>' {OPERANDS}\n | event.data.n >\n | ..............^",
        ),
        (
            "async.data.x ==",
            ExpressionUse.CANCEL_IF,
            f"1:16: Syntax error: mismatched input '<EOF>' {OPERANDS}\n | async.data.x ==\n | ...............^",
        ),
        (
            "event.data.",
            ExpressionUse.CONCURRENCY_KEY,
            "1:12: Syntax error: no viable alternative at input '.'\n | event.data.\n | ...........^",
        ),
        (
            "event.data.",
            ExpressionUse.PRIORITY,
            "1:12: Syntax error: no viable alternative at input '.'\n | event.data.\n | ...........^",
        ),
    ],
)
def test_recorded_texts(text: str, use: ExpressionUse, error: str) -> None:
    assert check(text, use) == f"error compiling expression: ERROR: <input>:{error}"


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ("", [f"1:1: Syntax error: mismatched input '<EOF>' {OPERANDS}"]),
        ("a === b", ["1:5: Syntax error: token recognition error at: '= '"]),
        (
            "a = 1",
            [
                "1:3: Syntax error: token recognition error at: '= '",
                "1:5: Syntax error: extraneous input '1' expecting <EOF>",
            ],
        ),
        ("a b", ["1:3: Syntax error: extraneous input 'b' expecting <EOF>"]),
        ("a and b", ["1:3: Syntax error: mismatched input 'and' expecting <EOF>"]),
        ("(a", ["1:3: Syntax error: missing ')' at '<EOF>'"]),
        ("(1 2)", ["1:4: Syntax error: extraneous input '2' expecting ')'"]),
        ("[1", ["1:3: Syntax error: mismatched input '<EOF>' expecting {']', ','}"]),
        ("f(1", ["1:4: Syntax error: missing ')' at '<EOF>'"]),
        ("!-a", [f"1:2: Syntax error: extraneous input '-' {OPERANDS}"]),
        ("a ? b", ["1:6: Syntax error: mismatched input '<EOF>' expecting ':'"]),
        ("a ==== b", [f"1:5: Syntax error: extraneous input '==' {OPERANDS}"]),
        ("a.b. ==\n 1", ["1:6: Syntax error: no viable alternative at input '.=='"]),
        ("a ==\n 1 1", ["2:4: Syntax error: extraneous input '1' expecting <EOF>"]),
        (
            "'abc",
            [
                "1:1: Syntax error: token recognition error at: ''abc'",
                f"1:5: Syntax error: mismatched input '<EOF>' {OPERANDS}",
            ],
        ),
        (
            "a & b",
            [
                "1:3: Syntax error: token recognition error at: '& '",
                "1:5: Syntax error: extraneous input 'b' expecting <EOF>",
            ],
        ),
        ("9999999999999999999", ["1:1: invalid int literal"]),
        ("18446744073709551616u", ["1:1: invalid uint literal"]),
        ("for", ["1:1: reserved identifier: for"]),
        ("has(event)", ["1:5: invalid argument to has() macro"]),
        ("[1].all(1, true)", ["1:9: argument must be a simple name"]),
    ],
)
@pytest.mark.parametrize("use", [ExpressionUse.TRIGGER, ExpressionUse.PRIORITY])
def test_syntax_errors_are_refused_everywhere(text: str, issues: list[str], use: ExpressionUse) -> None:
    error = check(text, use)
    assert error is not None
    assert error.startswith("error compiling expression: ERROR: <input>:")
    found = [line.removeprefix("ERROR: <input>:") for line in error.split(": ", 1)[1].split("\n") if "<input>" in line]
    assert found == issues


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("foo.bar == 1", "1:1: undeclared reference to 'foo' (in container '')"),
        ("event.data.a == undefined", "1:17: undeclared reference to 'undefined' (in container '')"),
        ("steps.a == 1", "1:1: undeclared reference to 'steps' (in container '')"),
        ("vars.a == 1", "1:1: undeclared reference to 'vars' (in container '')"),
        ("foo(1)", "1:4: undeclared reference to 'foo' (in container '')"),
        ("event.data.x.foo(1)", "1:17: undeclared reference to 'foo' (in container '')"),
        ("size(event, 1)", "1:5: found no matching overload for 'size' applied to '(map(string, dyn), int)'"),
        ("'a'.lowercase()", "1:14: found no matching overload for 'lowercase' applied to 'string.()'"),
        ("[1].all(x, x > y)", "1:16: undeclared reference to 'y' (in container '')"),
    ],
)
def test_unknown_names(text: str, issue: str) -> None:
    for use in CHECKED:
        error = check(text, use)
        assert error is not None
        assert error.split("\n")[0] == f"error compiling expression: ERROR: <input>:{issue}"
    assert check_wait(text) == check(text, ExpressionUse.TRIGGER)
    assert [check(text, use) for use in SYNTAX_ONLY] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "event.data.n > 1",
        "event.data.a + '-' + event.data.b",
        "has(event.data.x) && event.data.list.exists(i, i.id == event.data.id)",
        "lowercase(event.data.name).matches('^a')",
        "date(event.data.at) > now_minus('1d')",
        "type(event.data.n) == google.protobuf.Timestamp || type(1) == int",
        "'constant'",
        "'a' + 9.1",
    ],
)
def test_good_expressions(text: str) -> None:
    assert [check(text, use) for use in ExpressionUse if use is not ExpressionUse.CANCEL_IF] == [None] * 7
    assert check_wait(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "event.data.id == async.data.id",
        "async.data.n >= 5 && !(async.data.x in ['a', 'b']) || async.data['y'] != null",
        "int(async.data.n) == uint(event.data.n) || double(event.data.n) < 1.5",
        "async.data.yes ? async.data.a == 1 : async.data.a == -2",
    ],
)
def test_cancel_allows_logic(text: str) -> None:
    assert check(text, ExpressionUse.CANCEL_IF) is None


@pytest.mark.parametrize(
    "text",
    [
        "has(async.data.id)",
        "async.data.items.exists(i, i == 1)",
        "async.data.items.all(i, i == 1) || true",
        "async.data.n + 1 == 2",
        "async.data.n * 2 == 2",
        "-async.data.n == 2",
        "lowercase(async.data.s) == 'a'",
        "async.data.s.startsWith('a')",
        "size(async.data.s) == 1",
        "string(async.data.n) == '1'",
        "async.data.x == [now()]",
    ],
)
def test_cancel_refuses_the_rest_and_waits_do_not(text: str) -> None:
    error = check(text, ExpressionUse.CANCEL_IF)
    assert error is not None
    assert error.endswith("is not allowed here")
    assert check(text, ExpressionUse.TRIGGER) is None
    assert check_wait(text) is None


def test_wait_names_the_error() -> None:
    assert check_wait("event.data.userId === async.data.userId") == (
        "error compiling expression: ERROR: <input>:1:21: Syntax error: token recognition error at: '= '\n"
        " | event.data.userId === async.data.userId\n | ....................^"
    )
