"""Costs that no busy or slow machine changes: calls of functions, and CPU in units of this machine's own speed."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class Calls(msgspec.Struct):
    """Calls of Python and C functions that were made."""

    count: int = 0


@contextlib.contextmanager
def python_calls() -> Iterator[Calls]:
    """Count the calls of functions that this thread makes inside."""
    made = Calls()

    def note(_frame: object, event: str, _argument: object) -> None:
        made.count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        yield made
    finally:
        sys.setprofile(None)


def yardstick() -> float:
    """Return the CPU seconds of a round of plain Python that does what a server does: small objects, dicts, bytes."""
    rounds = 2_000
    best = 9.0
    for _ in range(7):
        began = time.process_time()
        for _ in range(rounds):
            table = {f"{k:04}": (k, str(k).encode()) for k in range(30)}
            b",".join([b'"%b":%d' % (value, key) for key, value in table.values()])
        best = min(best, time.process_time() - began)
    return best / rounds
