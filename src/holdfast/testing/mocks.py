"""Steps that a test answers for: with an output, or with an error."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

import msgspec

from holdfast.testing.events import plain


class Fail:
    """Let a step fail.

    Args:
        error: What its code seems to have raised.
        times: How many attempts fail before the step is done for real; None: all.
        retry: Whether the engine may try again; without, the step fails with the first attempt.

    """

    def __init__(self, error: BaseException | str, times: int | None = None, *, retry: bool = True) -> None:
        self.error = RuntimeError(error) if isinstance(error, str) else error
        self.times = times
        self.retry = retry


class Mocks:
    """What becomes of steps, by their ids as the function's code writes them."""

    def __init__(self, given: Mapping[str, object] | None = None) -> None:
        self._given: dict[str, object] = dict(given or {})
        self._failed: dict[tuple[str, str], int] = {}
        self.used: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._given)

    def set(self, step: str, what: object) -> None:
        """Answer for a step from now on: with an output, or as a `Fail` says."""
        self._given[step] = what

    def answer(self, run_id: str, hashed: str, display: str) -> dict[str, object] | None:
        """Return the operation that is reported in place of a step; None if the step is to be done."""
        if display not in self._given:
            return None
        what = self._given[display]
        self.used.add(display)
        if isinstance(what, Fail):
            return self._failure(run_id, hashed, display, what)
        return {"op": "StepRun", "id": hashed, "displayName": display, "name": display, "data": plain(what)}

    def _failure(self, run_id: str, hashed: str, display: str, fail: Fail) -> dict[str, object] | None:
        failed = self._failed.get((run_id, hashed), 0)
        if fail.times is not None and failed >= fail.times:
            return None
        self._failed[run_id, hashed] = failed + 1
        error = fail.error
        stack = "".join(traceback.format_exception(error))
        told = {"name": type(error).__name__, "message": str(error), "stack": stack}
        op = "StepError" if fail.retry else "StepFailed"
        return {"op": op, "id": hashed, "displayName": display, "name": display, "error": told}

    def unused(self) -> list[str]:
        """Return the ids that no run had a step for."""
        return sorted(self._given.keys() - self.used)


class _Told(msgspec.Struct):
    """An operation as far as mocks need to know it."""

    op: str = ""
    id: str = ""
    name: str | None = None
    display: str | None = msgspec.field(name="displayName", default=None)

    @property
    def label(self) -> str:
        """The step's id as the code writes it."""
        return self.display or self.name or self.id


def told(body: bytes) -> list[_Told]:
    """Return the operations of an answer; none if it is not made of operations."""
    try:
        return msgspec.json.decode(body, type=list[_Told])
    except msgspec.MsgspecError:
        return []
