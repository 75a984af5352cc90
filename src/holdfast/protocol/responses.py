"""What an app's HTTP answer means (`protocol/execution.md` §3)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from holdfast.protocol.opcodes import Op


class Outcome(msgspec.Struct, gc=False):
    """An answer, understood. Either `ops` is set, or `error` (a failed attempt), or neither: the function returned `output`."""

    status: int  # HTTP status after unwrapping a stream; 0 when no answer came
    ops: list[Op] | None = None
    output: bytes | None = None  # JSON: the return value, or the body of the failure as the user sees it
    error: str = ""  # the attempt's error text, such as `invalid status code: 500`
    retry_at: int | None = None  # ms since the epoch
    no_retry: bool = False
    request_version: int | None = None
    sdk: str = ""
    headers: dict[str, str] = {}
    size: int = 0


def read_response(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Outcome:
    """Understands an answer: status dispatch, streaming envelope, overrides of §3.1 in their order."""
    raise NotImplementedError


def transport_failure(text: str, code: str = "") -> Outcome:
    """The outcome of a call that got no usable answer (§2.6)."""
    raise NotImplementedError
