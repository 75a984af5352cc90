"""What comes to a run besides its calls' answers: metadata, and spans of user code (`http-apis.md` §6, §8.4)."""

from __future__ import annotations

from typing import Literal

import msgspec

MetadataScope = Literal["run", "step", "step_attempt", "extended_trace"]
MetadataOp = Literal["merge", "set", "delete", "add"]


class MetadataUpdate(msgspec.Struct, frozen=True):
    """One change to the values of a kind. What it is about is told by the scope and the ids after it."""

    scope: MetadataScope
    kind: str
    op: MetadataOp
    values: dict[str, object]
    at: int  # ms since the epoch
    step_id: str = ""  # hashed; "" for the run
    attempt: int | None = None  # None: the step, whichever attempt came to its end
    span_id: str = ""  # of a span of user code
