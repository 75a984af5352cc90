"""Metadata of runs, steps and spans that comes over HTTP, for live and for ended runs (`protocol/http-apis.md` §8.4).

Updates are kept as they came, in a table of their own, and folded when they are read: two writers never lose each
other's, and no engine is asked.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final, cast, get_args

import msgspec

from holdfast.protocol.ids import step_hash
from holdfast.protocol.limits import KIB, MIB
from holdfast.server.model.experiment import EXPERIMENT, SCORE, noted
from holdfast.server.model.telemetry import MetadataOp, MetadataScope, MetadataUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.server.runtime.partition import Partition
    from holdfast.server.store.history import History

MAX_UPDATE: Final = 64 * KIB
MAX_PER_RUN: Final = MIB
MAX_KIND: Final = 128  # characters
MAX_SCORE_NAME: Final = 128  # bytes
RESERVED: Final = "inngest."
RESERVED_KINDS: Final = frozenset({
    "inngest.ai", "inngest.http", "inngest.http.timing", "inngest.response_headers", "inngest.warnings",
    EXPERIMENT, SCORE,
})  # fmt: skip
_OPS: Final = get_args(MetadataOp)
_SHORTEST_CONTROL: Final = 0x20
_DELETE: Final = 0x7F


_Small = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]


class MetadataError(Exception):
    """Metadata is refused; `status` is that of HTTP, the text is for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Target(msgspec.Struct, frozen=True):
    """What metadata is about: the run, or a step of it by the id that its author gave it."""

    step_id: str | None = None
    step_index: _Small | None = None
    step_attempt: _Small | None = None
    span_id: str | None = None


class Update(msgspec.Struct, frozen=True):
    """A change to the values of one kind, as sent."""

    kind: str
    values: dict[str, object] = {}
    op: str = "merge"


class _Score(msgspec.Struct, forbid_unknown_fields=True):
    value: bool | float


class _Place(msgspec.Struct, frozen=True):
    scope: MetadataScope
    step_id: str = ""
    attempt: int | None = None
    span_id: str = ""


class MetadataLog:
    """Takes metadata of runs. `new_id` answers ULIDs that rise: updates are folded in their order."""

    def __init__(
        self, partition: Partition, history: History, new_id: Callable[[], str], *, enabled: bool = True
    ) -> None:
        self._partition = partition
        self._history = history
        self._new_id = new_id
        self._enabled = enabled
        self._pending: Counter[str] = Counter()  # bytes that are being committed, by run

    async def record(self, run_id: str, target: Target, updates: Sequence[Update]) -> None:
        """Records updates, all or none; they are durable afterwards. Raises MetadataError, or StoreError."""
        if not self._enabled:
            raise MetadataError(403, "Metadata is not enabled for this account")
        place = _place(target)
        rows = [(_checked(number, update), update) for number, update in enumerate(updates)]
        if not self._partition.view.alive(run_id):
            await self._require(run_id)
        size = sum(len(values) for values, _ in rows)
        stored = await self._history.metadata_size(run_id)
        if stored + self._pending[run_id] + size > MAX_PER_RUN:
            raise MetadataError(413, "Cumulative metadata size exceeds limit")
        records = self._partition.records
        for _, update in rows:
            records.add_metadata(run_id, self._new_id(), _stored(place, update))
            records.note_experiments(list(noted(run_id, place.step_id, update.kind, update.op, update.values)))
        self._pending[run_id] += size
        try:
            await self._partition.committed()
        finally:
            self._pending[run_id] -= size
            if not self._pending[run_id]:
                del self._pending[run_id]

    async def _require(self, run_id: str) -> None:
        if await self._history.run(run_id) is None:
            raise MetadataError(404, f"No run has the ID {run_id}: metadata belongs to a run that was started")


def _stored(place: _Place, update: Update) -> MetadataUpdate:
    op = cast("MetadataOp", update.op)
    return MetadataUpdate(
        place.scope, update.kind, op, update.values, 0, place.step_id, place.attempt, place.span_id
    )  # fmt: skip


def _place(target: Target) -> _Place:
    problem = "Invalid metadata target"
    if not target.step_id:
        for name in ("step_index", "step_attempt", "span_id"):
            if getattr(target, name) is not None:
                raise MetadataError(400, f"{problem}: {name} needs a step_id")
        return _Place("run")
    index, attempt = target.step_index or 0, target.step_attempt
    if index < 0:
        raise MetadataError(400, f"{problem}: step_index is negative")
    step_id = step_hash(target.step_id, index)
    known = attempt if attempt is not None and attempt >= 0 else None
    if attempt is None or not target.span_id:
        return _Place("step", step_id, known)
    return _Place("extended_trace", step_id, known, target.span_id)


def _checked(number: int, update: Update) -> bytes:
    """An update's values as JSON."""
    problem = f"Invalid metadata: metadata[{number}]"
    if not update.kind or len(update.kind) > MAX_KIND:
        raise MetadataError(400, f"{problem}.kind must have 1 to {MAX_KIND} characters")
    if update.kind.startswith(RESERVED) and update.kind not in RESERVED_KINDS:
        known = ", ".join(sorted(RESERVED_KINDS))
        raise MetadataError(400, f"{problem}.kind {update.kind} is reserved; use one of {known}, or userland.*")
    if update.op not in _OPS:
        raise MetadataError(400, f"{problem}.op must be one of {', '.join(_OPS)}")
    if update.op == "add" and not all(_is_number(value) for value in update.values.values()):
        raise MetadataError(400, f"{problem}.values must be numbers to be added")
    if update.kind == SCORE and update.op != "delete":
        for name, score in update.values.items():
            _check_score(f"{problem}.values", name, score)
    values = msgspec.json.encode(update.values)
    if len(values) > MAX_UPDATE:
        raise MetadataError(413, "Metadata span exceeds maximum size of 64KB")
    return values


def _check_score(where: str, name: str, score: object) -> None:
    if problem := score_name_problem(name):
        raise MetadataError(400, f"{where}: {problem}")
    value = _score_value(score)
    if not isinstance(value, bool) and not _is_number(value):
        raise MetadataError(400, f'{where}.{name} must be {{"value": a finite number, true or false}}')


def _score_value(score: object) -> object:
    try:
        return msgspec.convert(score, _Score).value
    except msgspec.ValidationError:
        return None


def score_name_problem(name: str) -> str:
    """What is wrong with a score's name; nothing if it can be one."""
    if not name or len(name.encode("utf-8", "replace")) > MAX_SCORE_NAME:
        return f"a score's name must have 1 to {MAX_SCORE_NAME} bytes"
    if any(ord(char) < _SHORTEST_CONTROL or ord(char) == _DELETE or char == "'" for char in name):
        return "a score's name can't have control characters or '"
    return ""


def is_finite(value: object) -> bool:
    """Whether a value is a number, or truth, that a double holds."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and is_finite(value)
