"""W3C trace context: the ids of a run's trace, and what a sender's headers say (`protocol/http-apis.md` §2.4).

Ids are derived, not stored: whoever knows a run and its requests knows the ids that its app was told.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLED: Final = 1

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)
_MAX_STATE: Final = 512  # characters, as the standard asks carriers to keep at least
_MAX_BAGGAGE: Final = 8_192
_CROCKFORD: Final = str.maketrans("0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789ABCDEFGHIJKLMNOPQRSTUV")


class TraceContext(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a sender stood in its own trace when it sent an event."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    flags: int = SAMPLED
    state: str = ""  # `tracestate` as given
    baggage: str = ""  # `baggage` as given


def read_context(parent: str, header: Callable[[bytes], str]) -> TraceContext | None:
    """Read a `traceparent`, and by `header` what goes with it; None for one that is malformed: it counts as absent."""
    found = _PARENT.fullmatch(parent.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or not trace.strip("0") or not span.strip("0") or (more and version == "00"):
        return None
    state, baggage = header(b"tracestate"), header(b"baggage")
    return TraceContext(trace, span, int(flags, 16), _kept(state, _MAX_STATE), _kept(baggage, _MAX_BAGGAGE))


load_context: Final = msgspec.json.Decoder(TraceContext).decode


def trace_id(run_id: str, context: TraceContext | None = None) -> str:
    """Return the trace of a run: the one that its event was sent in, else the run's own ULID as a number."""
    return context.trace_id if context is not None else f"{int(run_id.translate(_CROCKFORD), 32):032x}"


def call_span_id(run_id: str, job_id: str, attempt: int) -> str:
    """Return the span of a request to the app. A request that is made again, as after a crash, is the same one."""
    return span_id(f"{run_id}/{job_id}/{attempt}")


def step_span_id(run_id: str, step_id: str) -> str:
    """Return the span of a step, by its hashed id."""
    return span_id(f"{run_id}/{step_id}")


def invoker(run_id: str, step_id: str, context: TraceContext | None) -> TraceContext:
    """Return where a run stands that invokes another function in a step."""
    flags, state, baggage = (context.flags, context.state, context.baggage) if context else (SAMPLED, "", "")
    return TraceContext(trace_id(run_id, context), step_span_id(run_id, step_id), flags, state, baggage)


def span_id(name: str) -> str:
    """Derive the id of a span from a name that is unique to it."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _kept(value: str, most: int) -> str:
    """A header's value if it may be sent on: too long, or not printable, it is dropped whole."""
    return value if len(value) <= most and _PRINTABLE.fullmatch(value) else ""
