"""W3C trace context: what is read of a sender's headers."""

from __future__ import annotations

import pytest

from holdfast.protocol.tracing import TraceContext, invoker, read_context, step_span_id, trace_id

TRACE, SPAN = "a" * 32, "b" * 16
RUN = "01M7Y7FVEWSQJYQGM9W1SR5WP5"


def read(parent: str, **headers: str) -> TraceContext | None:
    return read_context(parent, lambda name: headers.get(name.decode(), ""))


def test_a_context_is_read() -> None:
    assert read(f" 00-{TRACE}-{SPAN}-00 ") == TraceContext(TRACE, SPAN, 0)
    assert read(f"00-{TRACE}-{SPAN}-01", tracestate="a=1", baggage="b=2") == TraceContext(TRACE, SPAN, 1, "a=1", "b=2")
    assert read(f"01-{TRACE}-{SPAN}-01-of-the-future") == TraceContext(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "parent",
    [
        "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-x", f"00-{TRACE}a-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
    ],
)  # fmt: skip
def test_a_malformed_one_is_none(parent: str) -> None:
    assert read(parent) is None


def test_what_may_not_be_sent_on_is_dropped() -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    for headers in ({"tracestate": "x" * 513, "baggage": "y" * 8_193}, {"tracestate": "a=\x01", "baggage": "é=1"}):
        assert read(parent, **headers) == TraceContext(TRACE, SPAN, 1)


def test_an_invoked_run_is_of_its_invokers_trace() -> None:
    alone = invoker(RUN, "step", None)
    assert (alone.trace_id, alone.span_id, alone.flags) == (trace_id(RUN), step_span_id(RUN, "step"), 1)
    sent = invoker(RUN, "step", TraceContext(TRACE, SPAN, 0, "a=1", "b=2"))
    assert sent == TraceContext(TRACE, step_span_id(RUN, "step"), 0, "a=1", "b=2")
