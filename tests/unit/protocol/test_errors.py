"""Error objects that users see."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import MAX_NESTED, server_error, standard_error

ATTEMPT = "invalid status code: 500"


def derive(body: object, error: str = ATTEMPT) -> dict[str, object]:
    derived = json.loads(standard_error(json.dumps(body).encode(), error))
    assert list(derived) == sorted(derived)
    return dict(derived)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"name": "E", "message": "boom", "stack": "at x", "code": "y"},
            {"name": "E", "message": "boom", "stack": "at x"},
        ),
        ({"message": "no such function"}, {"message": "no such function"}),
        ({"error": {"name": "E", "message": "in"}, "message": "out"}, {"name": "E", "message": "in"}),
        ({"error": '{"message":"in"}'}, {"message": "in"}),
        ({"body": {"message": "in", "cause": [1]}}, {"message": "in", "cause": [1]}),
        ({"body": '{"message":"in"}', "message": "out"}, {"message": "in"}),
        ({"error": "Could not find step"}, {"error": "Could not find step", "message": ATTEMPT}),
        ({"error": {}, "message": "out"}, {"message": "out"}),
        ({"message": "", "name": 5, "stack": None, "cause": None}, {"message": ATTEMPT}),
        ("plain text", {"message": "plain text"}),
        ("", {"message": ATTEMPT}),
        ([1, 2], {"message": ATTEMPT}),
        (5, {"message": ATTEMPT}),
        (None, {"message": ATTEMPT}),
        ({"body": json.dumps({"message": "x" * MAX_NESTED})}, {"message": ATTEMPT}),
    ],
)
def test_standard_error(body: object, expected: dict[str, object]) -> None:
    assert derive(body) == {"error": ATTEMPT, "name": "Error"} | expected


def test_without_anything() -> None:
    assert json.loads(standard_error(None, "oops")) == {"error": "oops", "message": "oops", "name": "Error"}
    unknown = "Function execution error"
    assert json.loads(standard_error(None, "")) == {"error": unknown, "message": unknown, "name": "Error"}


def test_server_error_is_wrapped() -> None:
    assert server_error("CompileError", "no") == (
        b'{"error":{"error":"CompileError: no","name":"CompileError","message":"no"}}'
    )
    assert server_error("N", "m", "e", "s") == b'{"error":{"error":"e","name":"N","message":"m","stack":"s"}}'


def test_a_server_error_is_its_own_standard_error() -> None:
    wrapped = server_error("InngestErrFunctionOverflowed", "The limit is 1000.", "function has too many steps")
    assert json.loads(standard_error(wrapped, "x")) == json.loads(wrapped)["error"]


def test_texts_that_unicode_cannot_express() -> None:
    assert json.loads(server_error("E", "cut \ud83d"))["error"]["message"] == "cut ?"
    assert json.loads(standard_error(None, "\ud83d"))["error"] == "?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "body", "message", "name", "stack", "cause", "x"]), inner)
        | inner.map(json.dumps)
    ),
    max_leaves=8,
)


@given(JSON, st.text())
def test_always_an_error_object(body: object, error: str) -> None:
    derived = derive(body, error)
    assert {"error", "message", "name"} <= derived.keys() <= {"error", "message", "name", "stack", "cause"}
    assert all(isinstance(value, str) and value for key, value in derived.items() if key != "cause")


@given(st.binary())
def test_output_that_is_no_json_is_no_trouble(output: bytes) -> None:
    if output[:1] != b'"':
        assert json.loads(standard_error(output, "e"))["name"]
