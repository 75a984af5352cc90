"""Events that are sent if, and only if, a transaction of your own database commits.

    outbox = Outbox(client)

    with database.begin() as transaction:               # SQLAlchemy; sqlite3, psycopg, asyncpg and Django alike
        transaction.execute(...)
        outbox.add(transaction, Event(name="order/placed", data={"id": 7}))

`add` writes a row, so events go with the transaction: committed or rolled back together. A relay reads the rows, sends
them in their order and deletes them. It may die at any moment: an event that is sent again has the same id, by which
the server starts its runs once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

import msgspec

from holdfast.sdk import typed
from holdfast.sdk.errors import RequestFailedError, SendEventsError
from holdfast.sdk.events import Event
from holdfast.sdk.logs import log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from holdfast.sdk.client import Inngest

__all__ = ["Outbox"]

_KINDS: Final = frozenset({"asyncpg", "django", "psycopg", "sqlalchemy", "sqlite3"})
_SEQUENCE: Final = {
    "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
}
_MAX_PAUSE_S: Final = 60.0


class _Row(NamedTuple):
    seq: int
    event: Event


class Outbox:
    """Events in a table of your database, on their way to a server.

    Args:
        client: Sends them.
        table: The table's name.

    """

    def __init__(self, client: Inngest, *, table: str = "holdfast_outbox") -> None:
        if not table.replace(".", "_").isidentifier():
            raise ValueError(f"{table!r} is no name of a table")
        self._client = client
        self._table = table

    def ddl(self, dialect: Literal["postgresql", "sqlite"]) -> str:
        """Return the statement that makes the table, for your migrations. Rows with an `error` were refused."""
        columns = f"seq {_SEQUENCE[dialect]}, event_id TEXT NOT NULL, event TEXT NOT NULL, error TEXT"
        return f"CREATE TABLE IF NOT EXISTS {self._table} ({columns})"

    def add(self, connection: object, events: Event | list[Event]) -> list[str]:
        """Send events if the connection's transaction commits; return their ids.

        Raises:
            TypeError: The connection is of no library that is known, or an asynchronous one.

        """
        items = _with_ids(events)
        for event in items:
            _run(connection, self._insert(), (event.id, _text(event)))
        return [event.id for event in items]

    async def add_async(self, connection: object, events: Event | list[Event]) -> list[str]:
        """Send events if the transaction of an asynchronous connection commits; see `add`."""
        items = _with_ids(events)
        for event in items:
            await _run_async(connection, self._insert(), (event.id, _text(event)))
        return [event.id for event in items]

    def deliver(self, connection: object, *, limit: int = 100) -> int:
        """Send what is committed, oldest first, in a transaction of its own; return how many events are gone.

        Raises:
            SendEventsError: The server did not take them, and may later. They stay.

        """
        with _transaction(connection):
            rows = self._rows(_run(connection, self._select(connection, limit)))
            refused = self._send(rows)
            for row in rows:
                _run(connection, *self._done(row, refused))
        return len(rows)

    async def deliver_async(self, connection: object, *, limit: int = 100) -> int:
        """Send what is committed by an asynchronous connection; see `deliver`."""
        async with _transaction_async(connection):
            rows = self._rows(await _run_async(connection, self._select(connection, limit)))
            refused = await asyncio.to_thread(self._send, rows)
            for row in rows:
                await _run_async(connection, *self._done(row, refused))
        return len(rows)

    def relay(self, connect: Callable[[], Any], *, every_s: float = 1.0, stop: threading.Event | None = None) -> None:
        """Deliver until `stop` is set, looking for events each so many seconds; longer while the server is away.

        Args:
            connect: Returns a connection, which is kept; a new one follows after an error.
            every_s: Seconds between looks.
            stop: Ends the relay.

        """
        ends, pause, connection = stop or threading.Event(), every_s, None
        while not ends.is_set():
            try:
                connection = connection or connect()
                full = self.deliver(connection) > 0
                pause = 0.0 if full else every_s
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a database or a server may pass
                connection, pause = None, self._troubled(error, pause)
            ends.wait(pause)
        if connection is not None:
            connection.close()

    async def relay_async(self, connect: Callable[[], Awaitable[Any]], *, every_s: float = 1.0) -> None:
        """Deliver by an asynchronous connection until cancelled; see `relay`."""
        pause, connection = every_s, None
        while True:
            try:
                connection = connection or await connect()
                pause = 0.0 if await self.deliver_async(connection) else every_s
            except Exception as error:  # noqa: BLE001 - as in relay
                connection, pause = None, self._troubled(error, pause)
            await asyncio.sleep(pause)

    def _troubled(self, error: Exception, pause: float) -> float:
        log(self._client.logger, "warning", f"events of {self._table} stay there for now: {error}")
        return min(max(pause, 0.5) * 2, _MAX_PAUSE_S)

    def _insert(self) -> str:
        return f"INSERT INTO {self._table} (event_id, event) VALUES ({{}}, {{}})"  # noqa: S608 - a checked name

    def _select(self, connection: object, limit: int) -> str:
        lock = " FOR UPDATE SKIP LOCKED" if _is_postgres(connection) else ""
        return f"SELECT seq, event FROM {self._table} WHERE error IS NULL ORDER BY seq LIMIT {int(limit)}{lock}"  # noqa: S608

    def _done(self, row: _Row, refused: dict[int, str]) -> tuple[str, tuple[object, ...]]:
        if row.seq in refused:
            return f"UPDATE {self._table} SET error = {{}} WHERE seq = {{}}", (refused[row.seq], row.seq)  # noqa: S608
        return f"DELETE FROM {self._table} WHERE seq = {{}}", (row.seq,)  # noqa: S608

    def _rows(self, found: list[Any]) -> list[_Row]:
        return [_Row(int(seq), Event.model_validate_json(event)) for seq, event in (tuple(each) for each in found)]

    def _send(self, rows: list[_Row]) -> dict[int, str]:
        """Send events; return why the server refuses those that it will never take, by their rows."""
        if not rows:
            return {}
        try:
            self._client.send_sync([row.event for row in rows])
        except SendEventsError as error:
            if not _is_final(error):
                raise
            if len(rows) == 1:
                log(self._client.logger, "error", f"an event of {self._table} is refused: {error}")
                return {rows[0].seq: str(error)}
            return {seq: why for row in rows for seq, why in self._send([row]).items()}
        return {}


def _is_final(error: SendEventsError) -> bool:
    """Whether the server answered that an event is wrong: not that a key is, or that it is busy."""
    return error.status in {400, 413, 422} and not isinstance(error.__cause__, RequestFailedError)


def _with_ids(events: Event | list[Event]) -> list[Event]:
    items = events if isinstance(events, list) else [events]
    return [event if event.id else msgspec.structs.replace(event, id=uuid.uuid4().hex) for event in items]


def _text(event: Event) -> str:
    return typed.encode(event.to_dict()).decode()


# --- connections ------------------------------------------------------------------------------------------------------


def _kind(connection: object) -> str:
    for base in type(connection).__mro__:
        package = base.__module__.partition(".")[0]
        if package in _KINDS:
            return package
    names = "sqlite3, psycopg, asyncpg, SQLAlchemy and Django"
    raise TypeError(f"the outbox knows connections of {names}, not {type(connection).__qualname__}")


def _is_postgres(connection: Any) -> bool:
    kind = _kind(connection)
    if kind == "django":
        return bool(connection.vendor == "postgresql")
    if kind == "sqlalchemy":
        bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
        return bool(bind.dialect.name == "postgresql")
    return kind in {"asyncpg", "psycopg"}


def _statement(kind: str, sql: str, values: tuple[object, ...]) -> tuple[Any, Any]:
    """Return a statement with the marks of a library for its values, and the values as it takes them."""
    if kind == "sqlalchemy":
        from sqlalchemy import text  # noqa: PLC0415 - the user's

        names = [f"v{number}" for number in range(len(values))]
        return text(sql.format(*(f":{name}" for name in names))), dict(zip(names, values, strict=True))
    marks = {"sqlite3": "?", "asyncpg": "${}"}.get(kind, "%s")
    return sql.format(*(marks.format(number + 1) for number in range(len(values)))), values


def _run(connection: Any, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
    kind = _kind(connection)
    statement, given = _statement(kind, sql, values)
    if kind == "django":
        with connection.cursor() as cursor:
            cursor.execute(statement, given)
            return list(cursor.fetchall()) if cursor.description else []
    found = connection.execute(statement, given)
    if hasattr(found, "__await__"):
        found.close()
        raise TypeError("this connection is asynchronous: await add_async, deliver_async or relay_async")
    return _fetched(found)


async def _run_async(connection: Any, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
    kind = _kind(connection)
    statement, given = _statement(kind, sql, values)
    if kind == "asyncpg":
        return list(await connection.fetch(statement, *given))
    found = connection.execute(statement, given)
    if not hasattr(found, "__await__"):
        raise TypeError("this connection is synchronous: use add, deliver or relay")
    found = await found
    if kind == "psycopg":
        return list(await found.fetchall()) if found.description else []
    return _fetched(found)


def _fetched(found: Any) -> list[Any]:
    has_rows = getattr(found, "returns_rows", None)
    return list(found.fetchall()) if (has_rows if has_rows is not None else found.description) else []


@contextlib.contextmanager
def _transaction(connection: Any) -> Generator[None]:
    """Commit at the end what is done within, or roll it back."""
    if _kind(connection) == "django":
        from django.db import transaction  # noqa: PLC0415 - the user's

        atomic = cast("Any", transaction).atomic
        with atomic(using=connection.alias):
            yield
        return
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


@contextlib.asynccontextmanager
async def _transaction_async(connection: Any) -> AsyncGenerator[None]:
    if _kind(connection) == "asyncpg":
        async with connection.transaction():
            yield
        return
    try:
        yield
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()
