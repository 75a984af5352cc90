"""Memoised steps: what the server keeps of the steps of a run, as middleware and the execution see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class _Unset:
    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


#: Stands for no value where None is one.
UNSET: Final = _Unset()
_OUTPUT: Final = frozenset({"data", "error"})
_INPUT: Final = frozenset({"type", "input"})


class MemoizedError(msgspec.Struct):
    """The error of a step that failed for good. `data` is what the SDK attached to it."""

    message: str
    name: str
    stack: str | None = None
    data: Any = None


class Output(msgspec.Struct):
    """The result of a step; middleware may replace `data` and `error` in place.

    `input` holds new arguments where somebody edited the step's input before a rerun: the step is not done then.
    """

    data: Any = None
    error: MemoizedError | None = None
    input: list[Any] | None = None


class StepMemos:
    """The memoised steps of a run by their hashed ids. They are decoded when they are needed."""

    def __init__(self, memos: Mapping[str, Output | msgspec.Raw]) -> None:
        self._memos = dict(memos)

    @property
    def size(self) -> int:
        """How many have not been taken yet."""
        return len(self._memos)

    def values(self) -> Iterator[Output]:
        """Yield what has not been taken yet."""
        for hashed_id in list(self._memos):
            yield self._decoded(hashed_id)

    def pop(self, hashed_id: str) -> Output | _Unset:
        """Take the memo of a step; UNSET if there is none."""
        if hashed_id not in self._memos:
            return UNSET
        found = self._decoded(hashed_id)
        del self._memos[hashed_id]
        return found

    @classmethod
    def from_raw(cls, raw: Mapping[str, object]) -> StepMemos:
        """Return the memos that decoded JSON holds."""
        return cls({hashed_id: read_memo(value) for hashed_id, value in raw.items()})

    def _decoded(self, hashed_id: str) -> Output:
        found = self._memos[hashed_id]
        if isinstance(found, msgspec.Raw):
            found = self._memos[hashed_id] = read_memo(msgspec.json.decode(found))
        return found


def read_memo(value: object) -> Output:
    """Return what a stored step says: `{"data"}`, `{"error"}`, an edited input, or a bare value."""
    if not isinstance(value, dict):
        return Output(data=value)
    members = cast("dict[str, Any]", value)
    if members.keys() <= _OUTPUT:
        return _wrapped(members)
    if members.keys() <= _INPUT and isinstance(members.get("input"), list):
        return Output(input=members["input"])
    return Output(data=members)


def _wrapped(members: dict[str, Any]) -> Output:
    error = members.get("error")
    if error is None:
        return Output(data=members.get("data"))
    try:
        return Output(error=msgspec.convert(error, MemoizedError))
    except msgspec.ValidationError:
        return Output(data=members)
