"""What reading in SQL needs of a database: statements and rows, in its own dialect.

Reading is written once, as coroutines. SQLite never lets one wait: it is run to its end in a reader's thread. That of
PostgreSQL runs on the event loop of its readers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from holdfast.server.store.sql.rows import Row

if TYPE_CHECKING:
    from holdfast.server.store.search import Comparison
    from holdfast.server.store.sql.conditions import Condition

T = TypeVar("T")

Scalar: TypeAlias = "str | int | float"
Parameter: TypeAlias = "Scalar | Sequence[str] | Sequence[int]"
"""A value of a query, or a list of them (`Dialect.choice`)."""
Parameters: TypeAlias = "Sequence[Parameter] | Mapping[str, Any]"
"""By their places (`?`), or by their names (`:name`)."""


class Dialect(Protocol):
    """How a database says what all of them can."""

    ended: str
    """The condition of indexes of ended runs `r`, as the database has to find it in a query."""

    event_text: str
    """Whether an event `e` has a text: its id, or a part of its JSON; each `?` is the text."""

    run_text: str
    """Whether a run `r` has a text: its id, a part of its output, of its function's names, or of its events."""

    any_event: str
    """Whether any event `e` of a run `r` meets a condition, up to that condition; a parenthesis stays open."""

    def choice(self, column: str) -> str:
        """Return the condition that a column has one of the values of a list, its one parameter."""
        ...

    def by_index(self, name: str) -> str:
        """Return what follows a table to have it read by an index; empty where the database finds that itself."""
        ...

    def or_zero(self, column: str) -> str:
        """Return a column, 0 for NULL, as indexes have it."""
        ...

    def comparison(self, found: Comparison) -> Condition:
        """Return a comparison of a value in JSON with a constant; never NULL."""
        ...


class Reader(Protocol):
    """One state of a database, to be read."""

    @property
    def dialect(self) -> Dialect:
        """How this database says things."""
        ...

    def named(self, statement: str) -> str:
        """Return a statement by its name, `<file>.<section>`."""
        ...

    async def select(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query, by its name."""
        ...

    async def rows(self, text: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query."""
        ...

    def each(self, statement: str, parameters: Parameters) -> AsyncGenerator[Row]:
        """Yield the rows of a query one by one; what is not asked for is not read."""
        ...


class Readers(Protocol):
    """Reads beside the writer. What takes too long ends with TooSlowError; who is cancelled cancels the query."""

    async def call(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Do something with a reader, all of whose queries see one state of the database."""
        ...

    async def search(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """The same for what is slow by nature, and must not hold up anything else."""
        ...

    def close(self) -> None:
        """End reading; a query under way is waited for."""
        ...
