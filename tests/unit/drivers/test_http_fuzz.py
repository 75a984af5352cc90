"""Arbitrary answers in arbitrary pieces: exactly one outcome, and never an exception."""

from __future__ import annotations

import gzip
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.drivers.http import Answer, CallFailure, Target
from holdfast.server.drivers.http.call import Call
from holdfast.server.drivers.http.connection import Connection


class Transport:
    """Takes what is written and remembers how it was closed."""

    def __init__(self):
        self.closing = False

    def write(self, data):
        assert not self.closing

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = True

    close = abort

    def get_write_buffer_size(self):
        return 0

    def get_extra_info(self, name):
        return None


class Owner:
    """Keeps what it is told."""

    def __init__(self):
        self.outcomes: list[Answer | CallFailure] = []
        self.reusable = False
        self.lost = 0

    def answered(self, connection, call, answer, reusable):
        self.outcomes.append(answer)
        self.reusable = reusable
        if not reusable:
            connection.drop()

    def broke(self, call, failure, unheard):
        assert not unheard
        self.outcomes.append(failure)

    def closed(self, connection):
        self.lost += 1

    def cancelled(self, call):
        raise AssertionError


def exchange(pieces: list[bytes], *, end: str = "eof", limit: int = 10_000, method: bytes = b"POST") -> Owner:
    """Play ``pieces`` to a connection as a transport would, and end it."""
    owner, transport = Owner(), Transport()
    connection = Connection(owner, "http://x:80")
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.send(Call(owner, method, Target.parse("http://x/"), b"", b"", limit, owner.outcomes.append), b"")
    for piece in pieces:
        if transport.closing:
            break
        connection.data_received(piece)
    if end == "eof" and not transport.closing:
        connection.eof_received()
    connection.connection_lost({"reset": ConnectionResetError(104, "reset"), "pipe": BrokenPipeError()}.get(end))
    assert len(owner.outcomes) == 1
    assert owner.lost == 1
    return owner


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(bounds) if a < b]


ENDS = st.sampled_from(["eof", "lost", "reset", "pipe"])
METHODS = st.sampled_from([b"POST", b"HEAD", b"GET"])
PLACES = st.lists(st.integers(0, 1 << 16), max_size=12)
TOKENS = st.sampled_from([
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"100", b"101", b"103", b"204", b"304", b"307", b" OK", b"\r\n", b"\n",
    b"\r", b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close",
    b"Connection: upgrade", b"Upgrade: h2c", b"Keep-Alive: timeout=5", b"Keep-Alive: timeout=\xd9\xa3",
    b"Content-Encoding: gzip", b"0", b"5", b"ffffffff", b"-1", b"99999", b"hello", b" ", b"\x00", b"\xff", b":",
    b"X: ", b";", b"0\r\n\r\n", b"5\r\nhello\r\n", b"\x15\x03\x01", b"Location: http://[", b"Location: /x",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Set-Cookie: a\r\n" * 3, gzip.compress(b"x" * 50),
])  # fmt: skip


@given(st.binary(max_size=300), PLACES, ENDS, METHODS)
def test_arbitrary_bytes(data, places, end, method):
    exchange(cut(data, places), end=end, method=method)


@settings(max_examples=500)
@given(st.lists(TOKENS, max_size=30).map(b"".join), PLACES, ENDS, METHODS, st.sampled_from([0, 3, 10_000]))
def test_arbitrary_words_of_http(data, places, end, method, limit):
    exchange(cut(data, places), end=end, method=method, limit=limit)


HEADER_NAMES = st.from_regex(r"x-[a-z]{1,5}", fullmatch=True)
HEADER_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=10)


@st.composite
def answers(draw):
    """A well-formed answer: raw bytes, and what they mean."""
    status = draw(st.integers(200, 599).filter(lambda code: code not in {204, 304}))
    fields = draw(st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=5))
    body = draw(st.binary(max_size=400))
    head = b"".join(f"{name.title()}: {value}\r\n".encode() for name, value in fields.items())
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * draw(st.integers(0, 2))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        head, payload = head + b"Content-Length: %d\r\n" % len(body), body
    elif framing == "chunked":
        parts = cut(body, draw(PLACES))
        payload = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        head += b"Transfer-Encoding: chunked\r\n"
    else:
        payload = body
    return interim + b"HTTP/1.1 %d X\r\n" % status + head + b"\r\n" + payload, status, fields, body, framing


@given(answers(), PLACES)
def test_well_formed_answers_survive_any_cut(case, places):
    raw, status, fields, body, framing = case
    owner = exchange(cut(raw, places))
    (answer,) = owner.outcomes
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (status, body)
    assert {name: value for name, value in answer.headers.items() if name.startswith("x-")} == fields
    assert "link" not in answer.headers
    assert owner.reusable == (framing != "close")


@given(answers(), st.integers(0, 1000), PLACES)
def test_truncated_answers_are_never_taken_for_whole_ones(case, keep, places):
    raw, _, _, _, framing = case
    kept = raw[: keep % len(raw)]
    if framing != "close":
        (outcome,) = exchange(cut(kept, places)).outcomes
        assert isinstance(outcome, CallFailure)


@given(answers(), st.binary(min_size=1, max_size=50), PLACES)
def test_what_follows_an_answer_spoils_the_connection_not_the_answer(case, extra, places):
    raw, status, _, body, framing = case
    if framing == "close" or not extra.strip(b"\r\n"):
        return
    owner = exchange([raw + extra])
    (answer,) = owner.outcomes
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (status, body)
    assert not owner.reusable
