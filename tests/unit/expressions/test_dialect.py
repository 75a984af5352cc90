"""Every row of the dialect's tables (flow-control.md §3.2 to §3.4), as expression and answer."""

from __future__ import annotations

import json

import pytest

from holdfast.server.expressions import MISSING, Activation, ExpressionError, Value, compile

EVENT = json.dumps(
    {
        "id": "e1",
        "name": "shop/paid",
        "ts": 1_700_000_000_123,
        "v": "1",
        "data": {
            "n": 5,
            "f": 9.1,
            "zero": 0,
            "big": 1_000_000,
            "s": "hello",
            "empty": "",
            "yes": True,
            "no": False,
            "nil": None,
            "list": [3, "ok?", True],
            "items": [{"id": 1, "ok": True}, {"id": 2}],
            "none": [],
            "map": {"name": "x"},
            "code": "200",
            "when": "2026-01-02T03:04:05Z",
            "json": '{"a": {"b": [1]}}',
            "b64": "aGVsbG8=",
            "dash-ed": 1,
        },
    }
).encode()
ASYNC = json.dumps({"name": "shop/refunded", "data": {"s": "hello", "n": 5, "other": "bye"}}).encode()
NOW_MS = 1_767_323_045_000  # 2026-01-02T03:04:05Z


def activation() -> Activation:
    return Activation(EVENT, ASYNC, now_ms=NOW_MS)


VARIABLES: list[tuple[str, Value]] = [
    ("event.name", "shop/paid"),
    ("event.id", "e1"),
    ("event.ts", 1_700_000_000_123.0),
    ("event.v", "1"),
    ("event.user", {}),
    ("event.data.n", 5.0),
    ("event.data['n']", 5.0),
    ('event["data"]["map"]["name"]', "x"),
    ("event.data['dash-ed']", 1.0),
    ("event.data.list[1]", "ok?"),
    ("event.data.list[1.0]", "ok?"),
    ("event.data.items[1].id", 2.0),
    ("async.data.s", "hello"),
    ("event.data.s == async.data.s", True),
    ("event.data.s == async.data.other", False),
    (".event.data.n == 5", True),
    ("steps", MISSING),
    ("trigger.data", MISSING),
    ("event.data.\n  n\n== 5 // five", True),
]

MISSING_ROWS: list[tuple[str, Value]] = [
    ("event.data.nope", MISSING),
    ("event.data.nope.deeper", MISSING),
    ("event.data.s.x", MISSING),
    ("event.data.nil.x", MISSING),
    ("event.data.list[9]", MISSING),
    ("event.data.list[-1]", MISSING),
    ("event.data.list[0.5]", MISSING),
    ("event.data.list['a']", MISSING),
    ("event.data[event.data.nope]", MISSING),
    ("event.data.nope == null", True),
    ("null == event.data.nope", True),
    ("event.data.nope == 'x'", False),
    ("'x' == event.data.nope", False),
    ("event.data.nope == 0", False),
    ("event.data.nope == false", False),
    ("event.data.nope == event.data.nada", False),
    ("event.data.nope == event.data.nope", False),
    ("event.data.nope != null", False),
    ("null != event.data.nope", False),
    ("event.data.nope != 'x'", True),
    ("1 != event.data.nope", True),
    ("event.data.nope != event.data.nada", True),
    ("event.data.nope < 1", True),
    ("event.data.nope <= 1", True),
    ("1 < event.data.nope", False),
    ("1 <= event.data.nope", False),
    ("event.data.nope > 1", False),
    ("event.data.nope >= 1", False),
    ("1 > event.data.nope", True),
    ("1 >= event.data.nope", True),
    ("'a' > event.data.nope", True),
    ("size(event.data.nope)", 0),
    ("event.data.nope.size()", 0),
    ("event.data.nope + 'x'", "x"),
    ("'x' + event.data.nope", "x"),
    ("event.data.nope + 1", 1),
    ("event.data.n + event.data.nope", 5.0),
    ("event.data.nope + event.data.nada", MISSING),
    ("event.data.nope.contains('x')", False),
    ("'x'.contains(event.data.nope)", False),
    ("event.data.nope.startsWith('x')", False),
    ("event.data.nope.endsWith('x')", False),
    ("event.data.nope.matches('x')", False),
    ("event.data.nope in [1, 2]", False),
    ("1 in event.data.nope", False),
    ("event.data.nope - 1", False),
    ("2 * event.data.nope", False),
    ("-event.data.nope", False),
    ("!event.data.nope", False),
    ("lowercase(event.data.nope)", False),
    ("int(event.data.nope)", False),
    ("date(event.data.nope)", False),
    ("now_plus(event.data.nope)", False),
    ("event.data.nope.exists(x, x == 1)", False),
    ("event.data.nope.all(x, x == 1)", False),
    ("event.data.nope.exists_one(x, x == 1)", False),
    ("event.data.nope.filter(x, true).size()", 0),
    ("has(event.data.nope)", False),
    ("has(event.data.nope.deeper)", False),
    ("[event.data.nope]", [None]),
    ("{'a': event.data.nope}", {"a": None}),
]

NULLS: list[tuple[str, Value]] = [
    ("null == null", True),
    ("event.data.nil == null", True),
    ("event.data.nil == 1", False),
    ("'' == null", False),
    ("event.data.nil != 1", True),
    ("null != null", False),
    ("event.data.nil < 1", True),
    ("event.data.nil < 0", False),
    ("event.data.nil <= 0.0", True),
    ("event.data.nil >= 0u", True),
    ("event.data.nil > -1", True),
    ("1 > null", True),
    ("event.data.nil < 'a'", True),
    ("null >= ''", True),
    ("'a' <= null", False),
    ("has(event.data.nil)", True),
]

COMPARISONS: list[tuple[str, Value]] = [
    ("event.data.n == 5", True),
    ("event.data.n == 5.0", True),
    ("event.data.n == 5u", True),
    ("1 == 1.0 && 1u == 1 && 2.0 == 2u", True),
    ("event.data.n > 4", True),
    ("event.data.n >= 5u", True),
    ("4 < event.data.n", True),
    ("5 != event.data.n", False),
    ("9007199254740993 == 9007199254740992.0", False),
    ("event.data.code == 200", False),
    ("event.data.code != 200", True),
    ("true == 1", False),
    ("false == 0", False),
    ("[true] == [1]", False),
    ("event.data.list == [3, 'ok?', true]", True),
    ("event.data.list == [3, 'ok?', 1]", False),
    ("event.data.map == {'name': 'x'}", True),
    ("event.data.map == {'name': 'y'}", False),
    ("event.data.map == []", False),
    ("'b' > 'a'", True),
    ("'B' < 'a'", True),
    ("'é' > 'z'", True),
    ("true > false", True),
    ("b'a' < b'b'", True),
    ("5 in event.data.list", False),
    ("3 in event.data.list", True),
    ("'ok?' in event.data.list", True),
    ("'name' in event.data.map", True),
    ("'nope' in event.data.map", False),
    ("1 in {1: 'a'}", True),
    ("null in [null]", True),
]

SUMS: list[tuple[str, Value]] = [
    ("1 + 2", 3),
    ("1u + 2u", 3),
    ("event.data.f + 0.9", 10.0),
    ("'a' + 'b'", "ab"),
    ("[1] + ['x']", [1, "x"]),
    ("b'a' + b'b'", b"ab"),
    ("'a' + 9.1", "a9.1"),
    ("9.1 + 'a'", "9.1a"),
    ("'a' + 1", "a1"),
    ("'a' + true", "atrue"),
    ("'a' + event.data.n", "a5"),
    ("'a' + event.data.big", "a1e+06"),
    ("'a' + 1234567.0", "a1.234567e+06"),
    ("'a' + 0.00001", "a1e-05"),
    ("'a' + 123456.0", "a123456"),
    ("'a' + 0.0001", "a0.0001"),
    ("'a' + -2.50", "a-2.5"),
    ("'a' + event.data.list", "a[3 ok? true]"),
    ("'a' + event.data.map", "amap[name:x]"),
    ("'a' + {'b': 1, 'a': [2]}", "amap[a:[2] b:1]"),
    ("event.data.n + 1", "51"),
    ("7 - 2", 5),
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("-7 % 2", -1),
    ("7.0 / 2.0", 3.5),
    ("1.0 / 0.0", float("inf")),
    ("-1.0 / 0.0", float("-inf")),
    ("2 * 3 + 4", 10),
    ("2 + 3 * 4", 14),
    ("(2 + 3) * 4", 20),
    ("-event.data.n", -5.0),
    ("- -5", 5),
    ("-9223372036854775808", -(2**63)),
    ("0xff", 255),
    ("1e3", 1000.0),
    (".5", 0.5),
]

LOGIC: list[tuple[str, Value]] = [
    ("true && false", False),
    ("true || false", True),
    ("event.data.s || 'x'", "hello"),
    ("event.data.empty || 'x'", "x"),
    ("event.data.zero || 'x'", "x"),
    ("event.data.nil || 'x'", "x"),
    ("event.data.no || 'x'", "x"),
    ("event.data.nope || 'x'", "x"),
    ("event.data.none || 'x'", []),
    ("{} || 'x'", {}),
    ("(1 / 0) || 'x'", "x"),
    ("event.data.empty || event.data.zero", 0.0),
    ("event.data.nope || event.data.nil", None),
    ("event.data.s && 'x'", "x"),
    ("event.data.empty && 'x'", ""),
    ("event.data.zero && 'x'", 0.0),
    ("event.data.nil && 'x'", None),
    ("event.data.nope && 'x'", MISSING),
    ("event.data.none && 'x'", "x"),
    ("'a' && 'b' && 'c'", "c"),
    ("'' || 0 || 'c' || 'd'", "c"),
    ("(1 / 0) && false", False),
    ("false && (1 / 0)", False),
    ("true || 1 / 0 == 1", True),
    ("1 / 0 == 1 || true", True),
    ("event.data.nope == 'x' || event.data.n == 5", True),
    ("!event.data.yes", False),
    ("!!event.data.yes", True),
    ("!(event.data.n == 6) && event.data.yes", True),
    ("event.data.yes ? 'a' : 'b'", "a"),
    ("event.data.no ? 'a' : 'b'", "b"),
    ("event.data.s ? 'a' : 'b'", "a"),
    ("event.data.nope ? 'a' : 'b'", "b"),
    ("event.data.zero ? 'a' : 'b'", "b"),
    ("event.data.none ? 'a' : 'b'", "a"),
    ("(1 / 0) ? 'a' : 'b'", "b"),
    ("false ? 'a' : false ? 'b' : 'c'", "c"),
]

FUNCTIONS: list[tuple[str, Value]] = [
    ("lowercase('ABC')", "abc"),
    ("uppercase('abc')", "ABC"),
    ("b64decode(event.data.b64)", "hello"),
    ("b64decode('aGVsbG8')", "hel"),
    ("b64decode('!')", ""),
    ("b64decode('')", ""),
    ("json_parse(event.data.json).a.b[0]", 1.0),
    ("json_parse('[1]')", {}),
    ("json_parse('nonsense')", {}),
    ("size('héllo')", 5),
    ("'abc'.size()", 3),
    ("size(event.data.list)", 3),
    ("size(event.data.map)", 1),
    ("size(b'abc')", 3),
    ("event.data.s.contains('ell')", True),
    ("event.data.s.contains('xyz')", False),
    ("event.data.s.startsWith('he')", True),
    ("event.data.s.endsWith('lo')", True),
    ("event.data.s.matches('^h.*o$')", True),
    ("event.data.s.matches('l{2}')", True),
    ("matches(event.data.s, '^x')", False),
    ("int('42')", 42),
    ("int(4.9)", 4),
    ("int(-4.9)", -4),
    ("int(event.data.n) + 1", 6),
    ("int(5u)", 5),
    ("int(timestamp('1970-01-01T00:01:00Z'))", 60),
    ("uint('42')", 42),
    ("uint(4.9)", 4),
    ("double('4.5')", 4.5),
    ("double(4)", 4.0),
    ("string(4)", "4"),
    ("string(4.0)", "4"),
    ("string(true)", "true"),
    ("string(b'abc')", "abc"),
    ("string(timestamp('2026-01-02T03:04:05Z'))", "2026-01-02T03:04:05Z"),
    ("string(duration('90s'))", "90s"),
    ("bool('true')", True),
    ("bool('False')", False),
    ("bytes('abc')", b"abc"),
    ("duration('1h30m') == duration('90m')", True),
    ("duration('90s') < duration('2m')", True),
    ("duration('1h').getMinutes()", 60),
    ("duration('1h1m1s').getSeconds()", 3661),
    ("duration('1500ms').getMilliseconds()", 500),
    ("timestamp('2026-01-02T03:04:05Z').getFullYear()", 2026),
    ("timestamp('2026-01-02T03:04:05Z').getMonth()", 0),
    ("timestamp('2026-01-02T03:04:05Z').getDate()", 2),
    ("timestamp('2026-01-02T03:04:05Z').getDayOfMonth()", 1),
    ("timestamp('2026-01-02T03:04:05Z').getDayOfWeek()", 5),
    ("timestamp('2026-01-02T03:04:05Z').getDayOfYear()", 1),
    ("timestamp('2026-01-02T03:04:05Z').getHours()", 3),
    ("timestamp('2026-01-02T03:04:05Z').getMinutes()", 4),
    ("timestamp('2026-01-02T03:04:05Z').getSeconds()", 5),
    ("timestamp('2026-01-02T03:04:05.678Z').getMilliseconds()", 678),
    ("timestamp('2026-01-02T03:04:05Z').getHours('Europe/Paris')", 4),
    ("timestamp('2026-01-02T03:04:05Z').getHours('-02:30')", 0),
    ("timestamp('2026-01-02T03:04:05Z') - timestamp('2026-01-02T03:04:00Z') == duration('5s')", True),
    ("timestamp('2026-01-02T03:04:05Z') + duration('1s')", "2026-01-02T03:04:06Z"),
    ("timestamp('2026-01-02T03:04:05Z') - duration('1s')", "2026-01-02T03:04:04Z"),
    ("duration('1s') + duration('1s')", "2s"),
    ("timestamp(0)", "1970-01-01T00:00:00Z"),
    ("type(1) == int", True),
    ("type(event.data.n) == double", True),
    ("type('a') == string && type(null) == null_type && type([]) == list", True),
    ("type(now()) == google.protobuf.Timestamp", True),
    ("dyn(1)", 1),
    ("now()", "2026-01-02T03:04:05Z"),
    ("now_plus('1d12h')", "2026-01-03T15:04:05Z"),
    ("now_minus('1w')", "2025-12-26T03:04:05Z"),
    ("now() > date(event.ts)", True),
    ("r'a\\d'.size() == 3 && '\\u00e9' == 'é' && '\\x41\\101\\n' == 'AA\\n'", True),
    ("'''it's''' == \"it's\"", True),
]

MACROS: list[tuple[str, Value]] = [
    ("has(event.data.n)", True),
    ("has(event.data.map.name)", True),
    ("event.data.items.exists(i, i.id == 2)", True),
    ("event.data.items.exists(i, i.id == 3)", False),
    ("event.data.items.exists(i, i.ok)", True),
    ("event.data.items.all(i, i.id > 0)", True),
    ("event.data.items.all(i, i.ok)", False),
    ("event.data.none.all(i, false)", True),
    ("event.data.items.exists_one(i, i.id == 2)", True),
    ("event.data.items.exists_one(i, i.id > 0)", False),
    ("event.data.items.map(i, i.id)", [1.0, 2.0]),
    ("event.data.items.map(i, i.id > 1, i.id * 2.0)", [4.0]),
    ("event.data.items.filter(i, i.id > 1)", [{"id": 2.0}]),
    ("event.data.map.exists(k, k == 'name')", True),
    ("[[1, 2], [3]].exists(x, x.exists(y, y == 3))", True),
    ("[1, 2].map(x, [3].map(y, x * y))", [[3], [6]]),
    ("[1].exists(event, event == 1)", True),
    ("[1, 'a'].exists(x, x - 1 == 0)", True),
    ("['a', 1].exists(x, x - 1 == 0)", True),
    ("['a', 1].all(x, x - 1 == 5)", False),
]

DATES: list[tuple[str, Value]] = [
    ("date('2026-01-02T03:04:05Z')", "2026-01-02T03:04:05Z"),
    ("date('2026-01-02T03:04:05.5+02:00')", "2026-01-02T01:04:05.5Z"),
    ("date('2026-01-02T03:04:05')", "2026-01-02T03:04:05Z"),
    ("date('Fri, 02 Jan 2026 03:04:05 GMT')", "2026-01-02T03:04:05Z"),
    ("date('02 Jan 26 03:04 UTC')", "2026-01-02T03:04:00Z"),
    ("date('02 Jan 26 03:04 +0100')", "2026-01-02T02:04:00Z"),
    ("date('Friday, 02-Jan-26 03:04:05 GMT')", "2026-01-02T03:04:05Z"),
    ("date('Fri Jan 02 03:04:05 +0000 2026')", "2026-01-02T03:04:05Z"),
    ("date('Fri Jan  2 03:04:05 UTC 2026')", "2026-01-02T03:04:05Z"),
    ("date('Fri Jan  2 03:04:05 2026')", "2026-01-02T03:04:05Z"),
    ("date('2026-01-02')", "2026-01-02T00:00:00Z"),
    ("date('2026-01-02 03:04:05 +0000 UTC')", "2026-01-02T03:04:05Z"),
    ("date(1767323045)", "2026-01-02T03:04:05Z"),
    ("date(1767323045000)", "2026-01-02T03:04:05Z"),
    ("date(1767323045000000000)", "2026-01-02T03:04:05Z"),
    ("date(event.ts)", "2023-11-14T22:13:20.123Z"),
    ("date(event.data.when) < now_plus('1s')", True),
    ("date('Jan  2 03:04:05') < date('2026-01-02')", True),
]

ROWS = [*VARIABLES, *MISSING_ROWS, *NULLS, *COMPARISONS, *SUMS, *LOGIC, *FUNCTIONS, *MACROS, *DATES]


@pytest.mark.parametrize(("text", "answer"), ROWS, ids=[text for text, _ in ROWS])
def test_answer(text: str, answer: Value) -> None:
    value = compile(text).evaluate(activation())
    assert value == answer
    assert type(value) is type(answer) or isinstance(answer, bool) is isinstance(value, bool)
    assert compile(text).is_true(activation()) is (answer is True)


ERRORS = [
    "1 < 'a'",
    "null < null",
    "null < true",
    "event.data.list < 1",
    "event.data.n - 1",
    "1 * 1.0",
    "1 / 0",
    "1 % 0",
    "1.0 % 1.0",
    "9223372036854775807 + 1",
    "-(-9223372036854775808)",
    "1u - 2u",
    "true + true",
    "null + null",
    "!1",
    "!null",
    "-'a'",
    "1 in 2",
    "1 in 'abc'",
    "size(1)",
    "lowercase(1)",
    "'a'.contains(1)",
    "'a'.matches('(')",
    "'a'.matches('(?=a)')",
    "int('x')",
    "int(1e30)",
    "int(true)",
    "uint(-1)",
    "double('x')",
    "bool('maybe')",
    "duration('1d')",
    "timestamp('2026')",
    "timestamp('2026-01-02T03:04:05Z').getHours('Nowhere/There')",
    "date('nonsense')",
    "date(946684799)",
    "date([])",
    "now_plus('soon')",
    "string(b'\\xff')",
    "(1 / 0) && true",
    "event.data.n.exists(x, true)",
    "[1, 'a'].all(x, x - 1 == 0)",
    "['a'].exists(x, x - 1 == 0)",
    "nothing(1)",
    "event.data.s.nothing()",
    "timestamp(253402300799) + duration('1s')",
    "{[]: 1}",
]


@pytest.mark.parametrize("text", ERRORS)
def test_error(text: str) -> None:
    expression = compile(text)
    with pytest.raises(ExpressionError):
        expression.evaluate(activation())
    assert not expression.is_true(activation())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("event.data.s", "hello"),
        ("'global'", "global"),
        ("event.data.n", "5"),
        ("event.data.big", "1e+06"),
        ("event.data.yes", "true"),
        ("event.data.no", "false"),
        ("event.data.nil", "<nil>"),
        ("event.data.nope", "false"),
        ("event.data.list", "[3 ok? true]"),
        ("event.data.map", "map[name:x]"),
        ("event.data.s + '-' + event.data.n", "hello-5"),
        ("5u", "5"),
        ("b'ab'", "[97 98]"),
        ("duration('90s')", "1m30s"),
        ("timestamp('2026-01-02T03:04:05.5Z')", "2026-01-02 03:04:05.5 +0000 UTC"),
        ("1.0 / 0.0", "+Inf"),
        ("0.0 / 0.0", "NaN"),
        (r"json_parse('{\"a\": \"\\ud800\"}').a", "\ufffd"),
    ],
)
def test_key(text: str, key: str) -> None:
    assert compile(text).key(activation()) == key


def test_key_of_an_error_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        compile("1 / 0").key(activation())


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"[]", b"\xff", b"[" * 100_000])
def test_an_event_that_is_none_is_an_error(raw: bytes) -> None:
    with pytest.raises(ExpressionError):
        compile("event.data.n").evaluate(Activation(raw))
    assert not compile("event.data.n == 1").is_true(Activation(raw))


def test_shape_of_an_event() -> None:
    bare = Activation(b'{"name":"a","data":null}')
    assert compile("event.data").evaluate(bare) == {}
    assert compile("event.user").evaluate(bare) == {}
    assert compile("async.data").evaluate(bare) is MISSING
    assert compile("event.data.x").evaluate(Activation(None, ASYNC)) is MISSING


def test_numbers_are_doubles_even_if_huge() -> None:
    huge = Activation(b'{"data":{"n":' + b"9" * 400 + b"}}")
    assert compile("event.data.n").evaluate(huge) == float("inf")


def test_an_event_is_decoded_once_and_only_if_needed() -> None:
    broken = Activation(b"nonsense")
    assert compile("1 == 1").is_true(broken)
    good = activation()
    assert compile("event.data").evaluate(good) is compile("event.data").evaluate(good)


def test_macros_leave_no_variables_behind() -> None:
    scope = activation()
    assert compile("['a', 1].map(x, x)").evaluate(scope) == ["a", 1]
    with pytest.raises(ExpressionError):
        compile("['a', 1].map(x, x - 1)").evaluate(scope)
    assert scope.variables == {}


def test_deeply_nested_data_is_an_error_not_a_crash() -> None:
    # The decoder's own depth limit is near, whichever side of it this is.
    nested = b'{"data":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"
    assert compile("event.data.a == async.data.a").is_true(Activation(nested, nested)) in {True, False}


def test_the_clock_is_read_once_per_activation() -> None:
    scope = Activation(EVENT)
    assert compile("now()").evaluate(scope) == compile("now()").evaluate(scope)


def test_compiled_once() -> None:
    assert compile("event.data.n == 12345") is compile("event.data.n == 12345")
