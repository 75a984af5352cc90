"""Opcodes: recorded operations, every rule's text, and damage."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import step_error
from holdfast.protocol.limits import MAX_STEP_INPUT, MAX_STEP_OUTPUT
from holdfast.protocol.opcodes import Op, Opcode, OpcodeError, parse_ops
from holdfast.protocol.rawjson import MAX_DEPTH

RECORDED = json.loads((Path(__file__).parent / "recorded" / "stored-steps.json").read_text("utf-8"))


def parse(ops: object) -> list[Op]:
    return parse_ops(json.dumps(ops).encode())


def one(**fields: object) -> Op:
    (op,) = parse([fields])
    return op


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['source']} {case['op']['name']}")
def test_steps_are_stored_as_recorded(case: dict[str, dict[str, object]]) -> None:
    (op,) = parse([case["op"]])
    assert (op.op, op.id) == (case["op"]["op"], case["op"]["id"])
    if op.op is Opcode.STEP_RUN:
        assert {"data": json.loads(op.data or b"null")} == case["stored"]
    else:
        assert {"error": json.loads(op.error or b"null")} == case["stored"]


def test_reads_everything() -> None:
    op = one(
        op="StepRun", id="abc", name="charge", displayName="Charge", data={"ok": True}, error=None,
        opts={"type": "step.ai.wrap", "input": [1, {"a": 2}], "parallelMode": "race"},
        timing={"a": 1_700_000_000_123_456_789, "b": 12_000_000}, userland={"id": "charge!", "index": 2},
        metadata=[{"kind": "x"}],
    )  # fmt: skip
    assert op == Op(
        Opcode.STEP_RUN, "abc", "charge", "Charge", b'{"ok": true}', None,
        b'{"type": "step.ai.wrap", "input": [1, {"a": 2}], "parallelMode": "race"}', "step.ai.wrap", True,
        1_700_000_000_123, 1_700_000_000_135, "charge!", 2, b'[1, {"a": 2}]', b'[{"kind": "x"}]',
    )  # fmt: skip


def test_nulls_are_absent() -> None:
    nulls = dict.fromkeys(("id", "name", "displayName", "data", "error", "opts", "timing", "userland", "metadata"))
    assert one(op="StepPlanned", **nulls) == Op(Opcode.STEP_PLANNED)
    assert one(op="Sleep", id="x", userland={"id": None, "index": None}, opts={"type": None, "input": None}) == Op(
        Opcode.SLEEP, "x", display="x", opts=b'{"type": null, "input": null}'
    )


@pytest.mark.parametrize("name", ["Step", "StepRun", "RunComplete", "SyncRunComplete"])
def test_null_is_the_data_of_what_is_complete(name: str) -> None:
    assert one(op=name, data=None).data == b"null"
    assert one(op=name).data is None


@pytest.mark.parametrize(
    ("fields", "display"),
    [({"displayName": "D", "name": "n"}, "D"), ({"name": "n"}, "n"), ({}, "i"), ({"displayName": "", "name": ""}, "i")],
)
def test_display_name_falls_back(fields: dict[str, str], display: str) -> None:
    assert one(op="StepRun", id="i", **fields).display == display


@pytest.mark.parametrize("opcode", Opcode)
def test_names_match_exactly_or_in_lower_case(opcode: Opcode) -> None:
    error = {"message": "m", "name": "n"}
    assert one(op=opcode.value, error=error).op is opcode
    assert one(op=opcode.value.lower(), error=error).op is opcode
    if opcode.value.upper() not in {opcode.value, opcode.value.lower()}:
        with pytest.raises(OpcodeError):
            one(op=opcode.value.upper(), error=error)


def test_an_empty_list_is_one_anonymous_none() -> None:
    assert parse_ops(b"[]") == parse_ops(b" [ ] ") == parse_ops(b"{}") == [Op(Opcode.NONE)]


def test_one_op_needs_no_list() -> None:
    assert parse_ops(b' {"op":"RunComplete","data":1} ')[0].data == b"1"


def test_keys_in_another_case() -> None:
    (op,) = parse_ops(b'[{"Op":"StepRun","ID":"x","Data":[1],"DisplayName":"d","Timing":{"a":1e18,"b":5e6}}]')
    assert (op.op, op.id, op.data, op.display, op.started_at, op.ended_at) == (
        Opcode.STEP_RUN, "x", b"[1]", "d", 10**12, 10**12 + 5,
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"timing": "x"},
        {"timing": {"a": {}}},
        {"timing": {"a": 10**30, "b": 1}},
        {"timing": {"a": -1, "b": 1.5}},
        {"timing": {"a": 1, "b": 1e300}},
        {"userland": []},
        {"userland": {"id": 5}},
        {"userland": {"index": 2**64}},
    ],
)
def test_odd_decoration_is_ignored(fields: dict[str, object]) -> None:
    assert one(op="StepRun", id="x", data=1, **fields) == Op(Opcode.STEP_RUN, "x", display="x", data=b"1")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "no response data"),
        (b" \n", "no response data"),
        (b"<html>", "expected JSON object or array"),
        (b"null", "expected JSON object or array"),
        (b'"x"', "expected JSON object or array"),
        (b'[{"op":"Nonsense","id":"a"}]', "Nonsense does not belong to Opcode values"),
        (b'[{"op":"StepRun"},{"op":""}]', " does not belong to Opcode values"),
        (b'{"op":"StepError","id":"a"}', "OpcodeStepError received without Error field set"),
        (b'{"op":"StepFailed","error":null}', "OpcodeStepFailed received without Error field set"),
        (b'{"op":5}', "json: cannot unmarshal number into Go struct field GeneratorOpcode.op of type enums.Opcode"),
        (b'{"id":[]}', "json: cannot unmarshal array into Go struct field GeneratorOpcode.id of type string"),
        (b"[5]", "json: cannot unmarshal number into Go value of type state.GeneratorOpcode"),
        (b'[{"op":"StepRun"', "unexpected end of JSON input"),
        (b'[{"op":"StepRun"}] x', "invalid character 'x' after top-level value"),
        (b'[{"op":"StepRun","data":01}]', "invalid character '1' after object key:value pair"),
    ],
)
def test_unreadable_answers(body: bytes, text: str) -> None:
    with pytest.raises(OpcodeError) as raised:
        parse_ops(body)
    assert str(raised.value) == "error reading generator opcode response: " + text


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (None, "1: opcode cannot be null"),
        ({"op": "StepRun", "id": "b", "opts": {"input": {}}}, "b: step input must be a JSON array"),
        ({"op": "StepRun", "id": "b", "data": "x" * MAX_STEP_OUTPUT}, "b: step output size is greater than the limit"),
        (
            {"op": "StepError", "id": "b", "error": {"message": "x" * MAX_STEP_OUTPUT}},
            "b: step output size is greater than the limit",
        ),
        (
            {"op": "StepRun", "id": "b", "opts": {"input": ["x" * MAX_STEP_INPUT]}},
            "b: step input size is greater than the limit",
        ),
    ],
)
def test_one_bad_op_spoils_the_answer(op: object, text: str) -> None:
    with pytest.raises(OpcodeError) as raised:
        parse([{"op": "StepRun", "id": "a", "data": 1}, op])
    assert str(raised.value) == "error validating generator opcode " + text


def test_output_may_fill_the_limit() -> None:
    data = "x" * (MAX_STEP_OUTPUT - len('{"data":""}'))
    assert len(one(op="StepRun", data=data).data or b"") == len(data) + 2


@pytest.mark.parametrize("opts", ["x", [1], 5, True, {"input": "x", "type": 5, "parallelMode": 1}])
def test_odd_opts_are_left_to_who_knows_the_op(opts: object) -> None:
    op = one(op="Sleep", opts=opts)
    assert (op.opts, op.type, op.race, op.input) == (json.dumps(opts).encode(), "", False, None)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 3_000, 100_000])
@pytest.mark.parametrize("member", ["data", "opts", "error"])
def test_deep_nesting(depth: int, member: str) -> None:
    body = b'[{"op":"StepError","error":{"message":"m"},"%b":%b1%b}]' % (member.encode(), b"[" * depth, b"]" * depth)
    with pytest.raises(OpcodeError, match="exceeded max depth"):
        parse_ops(body)


@pytest.mark.parametrize("member", ["data", "opts", "error"])
def test_members_may_nest_as_deep_as_the_limit(member: str) -> None:
    deep = b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1)
    error = b'{"message":"m","cause":%b}' % deep
    value = error if member == "error" else b'{"a":%b}' % deep
    (op,) = parse_ops(b'[{"op":"StepFailed","id":"s","error":{"message":"m"},"%b":%b}]' % (member.encode(), value))
    assert deep in (getattr(op, member) or b"")


def test_texts_that_unicode_cannot_express_are_mended() -> None:
    (op,) = parse_ops(b'[{"op":"StepRun","id":"\\ud800","data":["\\ud83d\\ude00","\\ud83d","\\\\ud83d"]}]')
    assert op.id == "\ufffd"
    assert json.loads(op.data or b"") == ["😀", "\ufffd", "\\ud83d"]
    (op,) = parse_ops(b'[{"op":"StepRun","data":"\xff\xc3\xa9"}]')
    assert op.data == '"\ufffdé"'.encode()


@pytest.mark.parametrize(
    ("sent", "no_retry", "stored"),
    [
        ({"name": "E", "message": "m", "code": "x", "__serialized": True}, None, {"name": "E", "message": "m"}),
        ({"stack": "s", "cause": {"a": 1}, "data": [1], "noRetry": True}, None,
         {"name": "Error", "message": "", "stack": "s", "cause": {"a": 1}, "data": [1], "noRetry": True}),
        ({"name": "E", "message": "m", "noRetry": True}, False, {"name": "E", "message": "m"}),
        ({"name": "E", "message": "m", "stack": None, "cause": None, "noRetry": None}, True,
         {"name": "E", "message": "m", "stack": None, "cause": None, "noRetry": True}),
        ({"name": "E", "message": "m", "data": None}, None, {"name": "E", "message": "m", "data": None}),
        ({"name": None, "message": None, "noRetry": None}, None, {"name": "Error", "message": ""}),
        ({"name": 5, "message": {"a": "é"}}, None, {"name": "5", "message": '{"a": "\\u00e9"}'}),
        ("boom", None, {"name": "Error", "message": "boom"}),
        ([1], None, {"name": "Error", "message": ""}),
    ],
)  # fmt: skip
def test_what_is_stored_of_an_error(sent: object, no_retry: bool | None, stored: dict[str, object]) -> None:
    error = json.loads(step_error(json.dumps(sent).encode(), no_retry))
    assert error == stored
    assert list(error) == sorted(error)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELD = st.sampled_from(
    ["id", "name", "displayName", "data", "error", "opts", "timing", "userland", "metadata", "Op", "other"]
)


@given(st.lists(st.fixed_dictionaries({"op": st.sampled_from(Opcode) | VALUE}) | st.dictionaries(FIELD, VALUE) | VALUE))
def test_any_json_is_read_or_refused(ops: list[object]) -> None:
    body = json.dumps(ops, allow_nan=True).encode()
    with contextlib.suppress(OpcodeError):
        for op in parse_ops(body):
            for part in (op.data, op.error, op.opts, op.input, op.metadata):
                assert part is None or json.loads(part) is not ...


@given(st.dictionaries(st.text(), VALUE), st.text(), st.text())
def test_data_round_trips(data: dict[str, object], id_: str, name: str) -> None:
    body = json.dumps([{"op": "StepRun", "id": id_, "name": name, "data": data}], ensure_ascii=False).encode()
    if b"Infinity" not in body:
        (op,) = parse_ops(body)
        assert (json.loads(op.data or b""), op.id, op.name) == (data, id_, name)


@given(st.binary() | st.binary().map(lambda noise: b'[{"op":"StepRun","data":' + noise + b"}]"))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(OpcodeError):
        assert parse_ops(body)


@pytest.mark.parametrize("number", [b"1e400", b"9" * 400])
@pytest.mark.parametrize("member", ["data", "opts", "error"])
def test_numbers_that_no_call_can_carry(member: str, number: bytes) -> None:
    body = b'[{"op":"StepError","error":{"message":"m"},"%b":{"n":%b}}]' % (member.encode(), number)
    with pytest.raises(OpcodeError, match="is beyond the range of JSON numbers"):
        parse_ops(body)


def test_metadata_goes_to_no_app_and_may_hold_any_number() -> None:
    (op,) = parse_ops(b'[{"op":"StepRun","id":"a","metadata":[{"values":{"n":1e400}}]}]')
    assert op.metadata == b'[{"values":{"n":1e400}}]'
