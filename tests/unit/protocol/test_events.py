"""The Event API's codec against recorded answers of the reference, and against anything else."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.events import (
    MAX_TS,
    MIN_TS,
    Event,
    EventError,
    Intake,
    Invocation,
    load_event,
    read_events,
    read_invoke,
    render_event,
    with_invocation,
)
from holdfast.protocol.ids import ulid
from holdfast.protocol.limits import MAX_EVENT, MAX_EVENTS
from holdfast.protocol.rawjson import MAX_DEPTH

NOW = 1_795_238_224_000
RECORDED = json.loads((Path(__file__).parent / "recorded" / "event-bodies.json").read_text("utf-8"))


def read(body: bytes | str | object, content_type: str = "application/json", seed: str = "") -> Intake:
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    numbers = itertools.count()
    return read_events(
        body, content_type=content_type, now_ms=NOW, new_id=lambda ms: ulid(ms, next(numbers)), seed=seed
    )


def accepted(body: bytes | str | object) -> Event:
    intake = read(body)
    assert intake.error == ""
    (event,) = intake.events
    return event


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["body"][:40] or "empty")
def test_answers_as_recorded(case: dict[str, str]) -> None:
    intake = read(case["body"], case["content_type"])
    assert intake.error == case["error"]
    assert len(intake.events) == case["accepted"]


def test_renders_what_functions_see() -> None:
    event = accepted(
        b'{"ts":1700000000000,"name":"shop/paid","id":"o-1","data":{"b":1, "a":[1e2]},"user":{"x":1},"v":"2"}'
    )
    assert event.json == (
        b'{"data":{"b":1, "a":[1e2]},"id":"o-1","name":"shop/paid","ts":1700000000000,"user":{"x":1},"v":"2"}'
    )
    assert (event.external_id, event.ts, event.received_at, event.deduplicated) == ("o-1", 1_700_000_000_000, NOW, True)
    assert event.id == ulid(NOW, 0)


def test_fills_in_what_is_absent() -> None:
    event = accepted(b'{"name":"a"}')
    assert json.loads(event.json) == {"data": {}, "id": event.id, "name": "a", "ts": NOW, "user": {}}
    assert not event.deduplicated
    assert accepted(b'{"name":"a","data":null,"user":null,"id":null,"ts":null,"v":null,"meta":null}').json == event.json


def test_drops_the_servers_own_metadata() -> None:
    assert b'"data":{"a":1}' in accepted({"name": "a", "data": {"_inngest": {"fn_id": "x"}, "a": 1}}).json
    kept = accepted(b'{"name":"a","data":{"text":"_inngest", "n": 1.0}}')
    assert b'{"text":"_inngest", "n": 1.0}' in kept.json


@pytest.mark.parametrize("name", ["inngest/x", "Inngest/X", "INNGEST/function.failed"])
def test_reserves_names(name: str) -> None:
    assert read({"name": name}).error == f"event name is reserved for internal use: {name}"


def test_names_that_only_look_reserved() -> None:
    for name in ("inngest", "iNNgest.x", "i", "inngest-x/y", "x" * 1_000):
        assert accepted({"name": name}).name == name


def test_names_have_a_length() -> None:
    for name in ("x" * 1_001, "inngest/" * 200_000):
        assert read({"name": name}).error == f"event name is too long: {len(name)} characters, of at most 1000"


@pytest.mark.parametrize(("ts", "good"), [(MIN_TS, True), (MIN_TS - 1, False), (MAX_TS, True), (MAX_TS + 1, False)])
def test_times_have_bounds(ts: int, good: bool) -> None:
    assert read({"name": "a", "ts": ts}).error == ("" if good else "timestamp is before Jan 1, 1980")


@pytest.mark.parametrize("ts", ["1" * 30, "9" * 4300, "9" * 5000, "-" + "9" * 20, "1e3", "1.0"])
def test_times_that_no_integer_holds(ts: str) -> None:
    error = read(f'{{"name":"a","ts":{ts}}}').error
    assert error == f"json: cannot unmarshal number {ts} into Go struct field raw.ts of type int64"


def test_the_seed_numbers_events_from_one() -> None:
    seed = f"{NOW},{base64.b64encode(bytes(10)).decode()}"
    intake = read([{"name": "a"}, {"name": "b"}], seed=seed)
    assert [event.id for event in intake.events] == [ulid(NOW, 1), ulid(NOW, 2)]
    assert all(event.deduplicated and event.external_id == event.id for event in intake.events)


@pytest.mark.parametrize("seed", ["x", "1,2", ",", "0,AAAAAAAAAAAAAA=="])
def test_a_bad_seed_is_ignored(seed: str) -> None:
    (event,) = read({"name": "a"}, seed=seed).events
    assert (event.id, event.deduplicated) == (ulid(NOW, 0), False)


def test_events_before_the_first_bad_one_are_kept() -> None:
    intake = read([{"name": "a"}, {"name": "b", "data": 5}, {"name": "c"}])
    assert [event.name for event in intake.events] == ["a"]
    assert intake.error.startswith("json: cannot unmarshal number into Go struct field raw.data")


@pytest.mark.parametrize(
    ("body", "names", "error"),
    [
        (b'[{"name":"a"},', ["a"], ""),
        (b'[{"name":"a"},{"name":"b"', ["a"], "unexpected end of JSON input"),
        (b'[{"name":"a"},{"name":"b}', ["a"], "unexpected end of JSON input"),
        (b'[{"name":"a"} {"name":"b"}]', ["a"], "invalid character '{' after array element"),
        (b'[{"name":"a"},]', ["a"], "invalid character ']' looking for beginning of value"),
        (b'[{"name":"a"}] x', ["a"], "invalid character 'x' after top-level value"),
        (b'[{"name":"a"}, {"name" "b"}]', ["a"], "invalid character '\"' after object key"),
        (b'[{"name":"a"}, {name: 1}]', ["a"], "invalid character 'n' looking for beginning of object key string"),
        (b'[{"name":"a"}, {"n":[1 2]}]', ["a"], "invalid character '2' after array element"),
        (b'[{"name":"a"}, {"n":"\\x"}]', ["a"], "invalid character 'x' in string escape code"),
        (b'[{"name":"a"}, {"n":"\n"}]', ["a"], "invalid character '\\n' in string literal"),
        (b'[{"name":"a"}, NaN]', ["a"], "invalid character 'N' looking for beginning of value"),
        (b'[{"name":"a"}, tru]', ["a"], "invalid character ']' in literal true (expecting 'e')"),
        (b'[{"name":"a"}, {"n":01}]', ["a"], "invalid character '1' after object key:value pair"),
        (b'[{"name":"a"}, null]', ["a"], "event name is empty"),
        (b'[{"name":"a"}, "b"]', ["a"], "json: cannot unmarshal string into Go value of type event.raw"),
        (b'{"name":"a" "b"}', [], "invalid character '\"' after object key:value pair"),
    ],
)
def test_broken_json(body: bytes, names: list[str], error: str) -> None:
    intake = read(body)
    assert ([event.name for event in intake.events], intake.error) == (names, error)


def test_space_around_is_nothing() -> None:
    assert read(b" \r\n\t") == Intake([])
    assert accepted(b' \n[ {"name" : "a"} ] \n').name == "a"


def test_too_large_events() -> None:
    body = json.dumps({"name": "a", "data": {"x": "x" * MAX_EVENT}}).encode()
    error = f"Event is over the max size: Max 3145728 bytes / Size {len(body)} bytes"
    assert read(body).error == error
    intake = read(b'[{"name":"small"},' + body + b"]")
    assert (len(intake.events), intake.error) == (1, error)


def test_a_large_batch_of_small_events_is_fine() -> None:
    event = {"name": "a", "data": {"x": "x" * 100_000}}
    assert len(read([event] * 40).events) == 40


def test_too_many_events() -> None:
    intake = read([{"name": "a"}] * (MAX_EVENTS + 1))
    assert (len(intake.events), intake.error) == (MAX_EVENTS, "Cannot have more than 5000 events in a batch")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH, 1_400, 2_000, 200_000])
def test_deep_nesting(opening: bytes, depth: int) -> None:
    closing = b"]" if opening == b"[" else b"}"
    deep = b'{"name":"a","data":{"a":' + opening * depth + b"1" + closing * depth + b"}}"
    assert read(deep).error == "exceeded max depth"
    intake = read(b'[{"name":"a"},' + deep + b"]")
    assert (len(intake.events), intake.error) == (1, "exceeded max depth")


@pytest.mark.parametrize("body", [b"%b", b"[%b]", b'[{"name":"first"},%b]', b"[%b,"])
def test_data_may_nest_as_deep_as_the_limit(body: bytes) -> None:
    depth = MAX_DEPTH - 1
    deep = b'{"name":"a","data":{"a":' + b"[" * depth + b"1" + b"]" * depth + b"}}"
    intake = read(body % deep)
    assert not intake.error
    assert b"[" * depth in intake.events[-1].json


def test_brackets_in_texts_are_no_nesting() -> None:
    body = {"name": "a", "data": {"a": "[{" * 1000, "b": '\\"[' * 1000, "c": [[]] * 1000}}
    assert json.loads(accepted(body).json)["data"] == body["data"]


@pytest.mark.parametrize("number", ["1e400", "-1E+309", "9" * 400])
@pytest.mark.parametrize("member", ["data", "user"])
def test_numbers_that_no_json_can_write_again_are_refused(member: str, number: str) -> None:
    bad = f'{{"name":"a","{member}":{{"n":{number}}}}}'.encode()
    text = "is beyond the range of JSON numbers, which are doubles (up to 1.8e308)"
    assert read(bad).error.endswith(text)
    intake = read(b'[{"name":"a"},%b,{"name":"c"}]' % bad)
    assert (len(intake.events), intake.error.endswith(text)) == (1, True)


def test_numbers_are_kept_as_written() -> None:
    data = b'{"big":123456789012345678901234567890,"float":1.10,"exp":1E+300,"zero":-0.0}'
    assert data in accepted(b'{"name":"a","data":' + data + b"}").json


def test_repeated_keys_the_last_wins() -> None:
    assert accepted(b'{"name":"a","name":"b","data":{},"data":{"x":1,"x":2}}').json.startswith(b'{"data":{"x":1,"x":2}')


def test_odd_texts() -> None:
    assert read(b'{"name":"\xff"}') == Intake([], "request body is not valid UTF-8")
    assert json.loads(accepted(b'{"name":"a","data":{"x":"\\u0000"}}').json)["data"] == {"x": "\0"}
    cut = accepted(b'{"name":"a","data":{"cut":"\\ud83d","whole":"\\ud83d\\ude00","text":"\\\\ud83d"}}')
    assert json.loads(cut.json)["data"] == {"cut": "\ufffd", "whole": "😀", "text": "\\ud83d"}


@pytest.mark.parametrize(
    ("meta", "sessions", "error"),
    [
        ({"sessions": {"b": 1, "a": "x"}}, {"a": "x", "b": "1"}, ""),
        ({"sessions": {"a": None}, "propagated_sessions": {"a": "x", "b": "y"}}, {"b": "y"}, ""),
        ({"sessions": None, "propagated_sessions": {"a": "x"}}, {}, ""),
        ({"propagated_sessions": {k: k for k in "gfedcba"}}, {k: k for k in "abcde"}, ""),
        ({"propagated_sessions": {"a": None}}, {}, 'event session "a" must be a string or number'),
        ({"sessions": {"a": []}}, {}, 'event session "a" must be a string, number, or null'),
        ({"sessions": {"": "x"}}, {}, "event session keys cannot be empty"),
        ({"sessions": {"a": ""}}, {}, 'event session "a" cannot have an empty ID'),
        ({"sessions": {"é" * 65: "x"}}, {}, f'event session key "{"é" * 65}" exceeds 128 bytes'),
        ({"sessions": {"a": "x" * 513}}, {}, 'event session "a" exceeds 512 bytes'),
        ({"sessions": {k: k for k in "abcdef"}}, {}, "event sessions can include at most 5 entries"),
        ({"sessions": {f"{n}": None for n in range(1_000)}}, {}, ""),
        ({"sessions": {f"{n}": None for n in range(1_001)}}, {}, "event sessions can include at most 5 entries"),
        ({"sessions": 5}, {}, "event sessions must be an object, not number"),
        ("x", {}, "event meta must be an object, not string"),
    ],
)
def test_sessions(meta: object, sessions: dict[str, str], error: str) -> None:
    intake = read({"name": "a", "meta": meta})
    assert intake.error == error
    if not error:
        (event,) = intake.events
        assert json.loads(event.sessions or b"{}") == sessions
        assert json.loads(event.json).get("meta", {"sessions": {}}) == {"sessions": sessions}


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/x-www-form-urlencoded; charset=utf-8", "v=1&data=2", "raw.data of type map[string]interface {}"),
        (
            "multipart/form-data; boundary=x",
            '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na',
            "raw.name of",
        ),
        ("multipart/form-data; boundary=x", "--x--", "event name is empty"),
        ("text/csv", "a;b", "Request body must contain an event object or an array of event objects"),
    ],
)
def test_other_content_types(content_type: str, body: str, error: str) -> None:
    assert error in read(body, content_type).error


def invoke(body: bytes, seed: str = "") -> Event:
    return read_invoke(body, "shop-charge", now_ms=NOW, new_id=lambda ms: ulid(ms, 7), seed=seed)


def test_invoke_makes_an_invocation_event() -> None:
    event = invoke(b'{"name":"ignored","data":{"x":1,"_inngest":{"fn_id":"forged"}},"user":{"id":"u1"}}')
    metadata = {
        "expire": 0, "fn_id": "shop-charge", "gid": "", "name": "", "source_app_id": "", "source_fn_id": "",
        "source_fn_v": 0,
    }  # fmt: skip
    assert json.loads(event.json) == {
        "name": "inngest/function.invoked", "id": event.id, "ts": NOW, "user": {"id": "u1"},
        "data": {"x": 1, "_inngest": metadata},
    }  # fmt: skip
    assert event.invocation == Invocation(fn_id="shop-charge")
    assert event.internal
    assert not event.deduplicated


def test_invoke_takes_ids_and_seeds() -> None:
    assert invoke(b'{"id":"mine","ts":1700000000000}').external_id == "mine"
    assert invoke(b"{}", seed=f"{NOW},{base64.b64encode(bytes(10)).decode()}").id == ulid(NOW, 0)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'[{"name":"a"}]', b"null", b'{"data":[]}', b'{"user":1}', b'{"ts":"x"}', b"{"]
)
def test_invoke_unreadable(body: bytes) -> None:
    with pytest.raises(EventError, match=r"^Unable to read post data request$"):
        invoke(body)


@pytest.mark.parametrize("body", [b'{"ts":1}', b'{"meta":{"sessions":{"a":""}}}'])
def test_invoke_invalid(body: bytes) -> None:
    with pytest.raises(EventError, match=r"^Invalid invocation event$"):
        invoke(body)


def test_an_invocation_is_written_and_read_back() -> None:
    invocation = Invocation(
        fn_id="a-b", correlation_id="01J.x", expire=5, gid="g", name="call", source_app_id="p", source_fn_id="q",
        source_fn_v=3, tc=msgspec.Raw(b'{"a":1}'), isr=msgspec.Raw(b"{}"),
    )  # fmt: skip
    data = with_invocation(b'{"x":1}', invocation)
    stored = load_event(
        "01I", "inngest/function.invoked", "01E", 5, 6, render_event("inngest/function.invoked", "01E", 5, data)
    )
    assert stored.invocation is not None
    assert msgspec.json.encode(stored.invocation) == msgspec.json.encode(invocation)
    assert stored.deduplicated


def test_a_stored_event_is_read_back() -> None:
    sent = accepted({"name": "a", "id": "x", "meta": {"sessions": {"s": "1"}}, "data": {"correlation_id": "not it"}})
    assert load_event(sent.id, sent.name, sent.external_id, sent.ts, sent.received_at, sent.json) == sent


def test_a_finished_event_keeps_its_correlation_id() -> None:
    json_ = render_event("inngest/function.finished", "01E", 5, b'{"correlation_id":"01J.x"}', sessions=b'{"s":"1"}')
    event = load_event("01E", "inngest/function.finished", "01E", 5, 6, json_)
    assert (event.correlation_id, event.sessions, event.deduplicated) == ("01J.x", b'{"s":"1"}', False)


@pytest.mark.parametrize("data", [b"{}", b'{"_inngest":5}', b'{"_inngest":{"expire":"x"}}'])
def test_a_forged_invocation_is_none(data: bytes) -> None:
    json_ = render_event("inngest/function.invoked", "01E", 5, data)
    assert load_event("01E", "inngest/function.invoked", "01E", 5, 6, json_).invocation is None


def test_render_event_sorts_keys() -> None:
    assert render_event("n", "i", 1, b'{"a":1}', v=b'"2"', sessions=b'{"s":"1"}') == (
        b'{"data":{"a":1},"id":"i","meta":{"sessions":{"s":"1"}},"name":"n","ts":1,"user":{},"v":"2"}'
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
OBJECT = st.dictionaries(st.text(), JSON, max_size=4)
EVENT = st.fixed_dictionaries(
    {"name": st.text(min_size=1).filter(lambda name: not name.lower().startswith("inngest/"))},
    optional={
        "data": OBJECT, "user": OBJECT, "id": st.text(min_size=1), "ts": st.integers(MIN_TS, MAX_TS),
        "v": st.text(min_size=1), "extra": JSON,
    },
)  # fmt: skip


@given(st.lists(EVENT, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_accepted_events_round_trip(events: list[dict[str, object]], ascii_only: bool, indent: int | None) -> None:
    intake = read(json.dumps(events, ensure_ascii=ascii_only, indent=indent).encode("utf-8"))
    assert intake.error == ""
    for sent, event in zip(events, intake.events, strict=True):
        seen = json.loads(event.json)
        assert seen["name"] == event.name == sent["name"]
        assert seen["data"] == {k: v for k, v in sent.get("data", {}).items() if k != "_inngest"}  # type: ignore[attr-defined]
        assert seen["user"] == sent.get("user", {})
        assert seen["id"] == event.external_id == sent.get("id", event.id)
        assert seen["ts"] == event.ts == sent.get("ts", NOW)
        assert seen.get("v") == sent.get("v")
        assert list(seen) == sorted(seen)


@given(
    st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data", ""]),
    st.text(max_size=20),
)
def test_nothing_raises(body: bytes, content_type: str, seed: str) -> None:
    intake = read(body, content_type, seed)
    for event in intake.events:
        assert json.loads(event.json)["name"] == event.name


@given(st.lists(EVENT, min_size=1, max_size=3), st.data())
def test_damaged_bodies_never_raise(events: list[dict[str, object]], data: st.DataObject) -> None:
    body = bytearray(json.dumps(events).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(body) - 1))
        body[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for event in read(bytes(body)).events:
        json.loads(event.json)
    with contextlib.suppress(EventError):
        invoke(bytes(body))
