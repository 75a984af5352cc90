"""Which ranges of which indexes a list of events is made of, and how many events there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.server.model.event import INTERNAL_PREFIX
from holdfast.server.model.totals import EVENT_BITS
from holdfast.server.store.sql.conditions import Conditions, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.server.store.history import EventFilter
    from holdfast.server.store.sql.reader import Parameter, Reader

_USER: Final = "substr({column}, 1, 8) <> 'inngest/'"
_END: Final = 1 << 40
_MOST_NAMES: Final = 100
_RARE: Final = 20
"""Names rarer than 1 in N use the index by name; others are found while walking the list."""


class Span(NamedTuple):
    """Where in the order of ids the wanted events are."""

    low: str
    high: str
    wanted: int
    all: int
    names: int

    @property
    def rare(self) -> bool:
        """Whether a walk through all events would pass many others for each wanted one."""
        return self.wanted * _RARE < self.all and self.names <= _MOST_NAMES


class EventList:
    """A list of events, newest id first."""

    def __init__(self, db: Reader, where: EventFilter, before: str = "") -> None:
        self._db = db
        self._where = where
        self._before = before

    async def span(self) -> Span | None:
        """Where the list lies, by the totals; None if it is empty."""
        since, until = self._buckets()
        if (self._where.names or self._where.internal) and (since, until) == (-1, _END):
            return Span("", "Z" * 26, 1, 1, len(self._where.names))
        return await self._span(since, until)

    async def _span(self, since: int, until: int) -> Span | None:
        wanted, names = self._names("t.name")
        query = self._db.named("history.event_span").replace("{condition}", wanted)
        [row] = await self._db.rows(query, (since, until, *names, since, until))
        return Span(*row) if row[0] is not None else None

    async def names(self) -> list[str]:
        """The names in the list's time."""
        if self._where.names:
            wanted = dict.fromkeys(self._where.names)
            return [name for name in wanted if self._where.internal or not name.startswith(INTERNAL_PREFIX)]
        condition, names = self._names("t.name")
        query = self._db.named("history.event_names").replace("{condition}", condition)
        return [name for (name,) in await self._db.rows(query, (*self._buckets(), *names))]

    def ranges(self, span: Span, limit: int, names: list[str] | None) -> Iterator[Query]:
        """The ranges to merge: ids from the newest; one for each of the names, or one for all."""
        if names is None:
            yield self._range("event_ids", span, limit, *self._names("e.name"))
            return
        for name in names:
            yield self._range("event_ids_of_name", span, limit, "e.name = ?", [name])

    async def total(self) -> int:
        """How many events there are: whole buckets by their totals, the ends of the window one by one."""
        since, until = self._buckets()
        condition, names = self._names("t.name")
        ends = sorted({bucket for bucket in (since, until) if 0 <= bucket < _END})
        inner = (since + (since in ends), until - (until in ends))
        query = self._db.named("history.event_total").replace("{condition}", condition)
        [(total,)] = await self._db.rows(query, (*inner, *names))
        for bucket in ends:
            total += await self._count(bucket)
        return int(total)

    async def _count(self, bucket: int) -> int:
        span = await self._span(bucket, bucket)
        if span is None:
            return 0
        found = self._conditions(span, *self._names("e.name"))
        found.add(f"e.received_at >> {EVENT_BITS} = ?", bucket)
        query = self._db.named("history.event_count").replace("{condition}", found.text)
        return int((await self._db.rows(query, found.parameters))[0][0])

    def _buckets(self) -> tuple[int, int]:
        since = self._where.since >> EVENT_BITS if self._where.since > 0 else -1
        return since, self._where.until >> EVENT_BITS if self._where.until is not None else _END

    def _names(self, column: str) -> tuple[str, list[Parameter]]:
        found = Conditions(self._db.dialect)
        if self._where.names:
            found.add_choice(column, self._where.names)
        if not self._where.internal:
            found.add(_USER.replace("{column}", column))
        return found.text, found.parameters

    def _range(self, query: str, span: Span, limit: int, names: str, parameters: list[Parameter]) -> Query:
        if self._before:
            span = span._replace(high=min(span.high, self._before))
        found = self._conditions(span, names, parameters)
        if self._before:
            found.add("e.id <> ?", self._before)
        return Query(self._db.named(f"history.{query}").replace("{condition}", found.text), (*found.parameters, limit))

    def _conditions(self, span: Span, names: str, parameters: list[Parameter]) -> Conditions:
        found = Conditions(self._db.dialect)
        found.add("e.id BETWEEN ? AND ?", span.low, span.high)
        found.add(names, *parameters)
        if self._where.since > 0:
            found.add("e.received_at >= ?", self._where.since)
        if self._where.until is not None:
            found.add("e.received_at <= ?", self._where.until)
        return found
