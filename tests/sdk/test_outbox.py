"""The outbox: events go with the transactions of real databases, and each arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm

import databases
from holdfast import Event, Inngest, SendEventsError
from holdfast.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Recorder(Inngest):
    """A client whose events are kept here; `fails` says which sends fail, and how."""

    def __init__(self) -> None:
        super().__init__(app_id="outbox", is_production=False)
        self.sent: list[list[Event]] = []
        self.fails: Callable[[list[Event]], SendEventsError | None] = lambda _: None

    def send_sync(self, events: Event | list[Event], *, skip_middleware: bool = False) -> list[str]:
        items = events if isinstance(events, list) else [events]
        if (error := self.fails(items)) is not None:
            raise error
        self.sent.append(items)
        return [event.id for event in items]

    @property
    def names(self) -> list[str]:
        return [event.name for batch in self.sent for event in batch]


@pytest.fixture
def client() -> Recorder:
    return Recorder()


def execute(connection: Any, sql: str) -> None:
    if isinstance(connection, (sqlalchemy.Connection, sqlalchemy.orm.Session)):
        connection.execute(sqlalchemy.text(sql))
    elif isinstance(connection, (sqlite3.Connection, psycopg.Connection)):
        connection.execute(sql)
    else:
        with connection.cursor() as cursor:
            cursor.execute(sql)


def sqlite(folder: Path) -> Any:
    return sqlite3.connect(folder / "app.db")


def engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def alchemy(folder: Path) -> Any:
    return engine(f"sqlite:///{folder / 'app.db'}").connect()


def alchemy_session(folder: Path) -> Any:
    return sqlalchemy.orm.Session(engine(f"sqlite:///{folder / 'app.db'}"))


def alchemy_postgres(_: Path) -> Any:
    return engine(databases.uri().replace("postgresql://", "postgresql+psycopg://")).connect()


def postgres(_: Path) -> Any:
    return psycopg.connect(databases.uri())


def django_sqlite(folder: Path) -> Any:
    import django.conf
    from django.db.backends.sqlite3.base import DatabaseWrapper

    if not django.conf.settings.configured:
        django.conf.settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x")
        django.setup()
    settings = {"NAME": str(folder / "app.db"), "OPTIONS": {}, "TIME_ZONE": None, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}
    more = {"ATOMIC_REQUESTS": False, "CONN_HEALTH_CHECKS": False, "ENGINE": "django.db.backends.sqlite3"}
    wrapper = DatabaseWrapper({**settings, **more}, alias="outbox")
    django.db.connections["outbox"] = wrapper
    return wrapper


OPEN = {
    "sqlite3": sqlite,
    "sqlalchemy": alchemy,
    "sqlalchemy session": alchemy_session,
    "sqlalchemy, postgresql": alchemy_postgres,
    "psycopg": postgres,
    "django": django_sqlite,
}


@pytest.fixture(params=OPEN)
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with contextlib.closing(OPEN[request.param](tmp_path)) as found:
        yield found


@contextlib.contextmanager
def transaction(connection: Any, *, fails: bool) -> Iterator[None]:
    """A transaction as each library has them, that ends well or not."""
    if hasattr(connection, "vendor"):
        from django.db.transaction import atomic

        with contextlib.suppress(ZeroDivisionError), atomic(using="outbox"):
            yield
            assert 1 / (not fails)
        return
    yield
    connection.rollback() if fails else connection.commit()


def table(connection: Any, client: Inngest) -> Outbox:
    name = f"outbox_{os.getpid()}_{id(connection)}"
    outbox = Outbox(client, table=name)
    on_postgres = isinstance(connection, psycopg.Connection) or "postgresql" in str(getattr(connection, "engine", ""))
    with transaction(connection, fails=False):
        execute(connection, outbox.ddl("postgresql" if on_postgres else "sqlite"))
    return outbox


def test_events_go_with_the_transaction(connection: Any, client: Recorder) -> None:
    outbox = table(connection, client)
    with transaction(connection, fails=True):
        outbox.add(connection, Event(name="never"))
    with transaction(connection, fails=False):
        first = outbox.add(connection, [Event(name="one", data={"n": 1}), Event(name="two", id="mine", ts=5)])
        outbox.add(connection, Event(name="three"))
    assert outbox.deliver(connection, limit=2) == 2
    assert outbox.deliver(connection) == 1
    assert outbox.deliver(connection) == 0
    assert client.names == ["one", "two", "three"]
    one, two = client.sent[0]
    assert ([one.id, two.id], one.data, two.ts) == (first, {"n": 1}, 5)
    assert first[1] == "mine"


def test_events_stay_while_the_server_is_away(connection: Any, client: Recorder) -> None:
    outbox = table(connection, client)
    with transaction(connection, fails=False):
        (event_id,) = outbox.add(connection, Event(name="one"))
    for status in (None, 401, 429, 503):
        client.fails = lambda _, status=status: SendEventsError("away", [], status)  # type: ignore[misc]
        with pytest.raises(SendEventsError):
            outbox.deliver(connection)
    client.fails = lambda _: None
    assert outbox.deliver(connection) == 1
    assert [event.id for event in client.sent[0]] == [event_id]


def test_an_event_that_is_refused_holds_nobody_up(connection: Any, client: Recorder) -> None:
    outbox = table(connection, client)
    with transaction(connection, fails=False):
        outbox.add(connection, [Event(name=name) for name in ("one", "", "three")])

    def refuse(events: list[Event]) -> SendEventsError | None:
        return SendEventsError("an event has no name", [], 400) if any(not each.name for each in events) else None

    client.fails = refuse
    assert outbox.deliver(connection) == 3
    assert outbox.deliver(connection) == 0
    assert client.names == ["one", "three"]


@pytest.mark.parametrize("library", ["asyncpg", "psycopg", "sqlalchemy"])
def test_asynchronous_connections(library: str, client: Recorder) -> None:
    async def test() -> None:
        outbox = Outbox(client, table=f"outbox_{os.getpid()}_{library}")
        async with contextlib.AsyncExitStack() as stack:
            if library == "asyncpg":
                found: Any = await asyncpg.connect(databases.uri())
                stack.push_async_callback(found.close)
                await found.execute(outbox.ddl("postgresql"))
                with contextlib.suppress(ZeroDivisionError):
                    async with found.transaction():
                        await outbox.add_async(found, Event(name="never"))
                        assert 1 / 0
                async with found.transaction():
                    await outbox.add_async(found, Event(name="one"))
            else:
                found = await opened(library, stack)
                await found.execute(statement(library, outbox.ddl("postgresql")))
                await found.commit()
                await outbox.add_async(found, Event(name="never"))
                await found.rollback()
                await outbox.add_async(found, Event(name="one"))
                await found.commit()
            with pytest.raises(TypeError):
                outbox.add(found, Event(name="no"))
            assert await outbox.deliver_async(found) == 1
            assert await outbox.deliver_async(found) == 0
        assert client.names == ["one"]

    asyncio.run(test())


async def opened(library: str, stack: contextlib.AsyncExitStack) -> Any:
    if library == "psycopg":
        return await stack.enter_async_context(await psycopg.AsyncConnection.connect(databases.uri()))
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(databases.uri().replace("postgresql://", "postgresql+psycopg://"))
    stack.push_async_callback(engine.dispose)
    return await stack.enter_async_context(engine.connect())


def statement(library: str, sql: str) -> Any:
    return sqlalchemy.text(sql) if library == "sqlalchemy" else sql


def test_two_relays_do_not_send_the_same_events(client: Recorder, tmp_path: Path) -> None:
    one, two = postgres(tmp_path), postgres(tmp_path)
    with one, two:
        outbox = table(one, client)
        outbox.add(one, [Event(name="one"), Event(name="two")])
        one.commit()
        seen: list[int] = []

        def meanwhile(_: list[Event]) -> None:
            client.fails = lambda _: None
            seen.append(outbox.deliver(two))

        client.fails = meanwhile
        assert outbox.deliver(one) == 2
    assert (seen, client.names) == ([0], ["one", "two"])


def test_a_relay_delivers_until_it_is_stopped(client: Recorder, tmp_path: Path) -> None:
    with contextlib.closing(sqlite(tmp_path)) as connection:
        outbox = table(connection, client)
        outbox.add(connection, Event(name="one"))
        connection.commit()
        stop, errors = threading.Event(), [OSError("no database yet")]

        def connect() -> Any:
            if errors:
                raise errors.pop()
            return sqlite(tmp_path)

        def note(_: list[Event]) -> None:
            stop.set()

        client.fails = note
        outbox.relay(connect, every_s=0.001, stop=stop)
    assert client.names == ["one"]


def test_the_server_starts_a_run_once_for_an_event_that_comes_twice(server: str, tmp_path: Path) -> None:
    client = Inngest(app_id="outbox", is_production=False, api_base_url=server, event_api_base_url=server)
    with contextlib.closing(sqlite(tmp_path)) as connection:
        outbox = table(connection, client)
        (event_id,) = outbox.add(connection, Event(name="outbox/sent", data={"n": 1}))
        connection.commit()
        assert outbox.deliver(connection) == 1
    client.close_sync()
    known = httpx.get(f"{server}/v1/events", params={"name": "outbox/sent"}).json()["data"]
    assert [(each["id"], each["data"]) for each in known] == [(event_id, {"n": 1})]


def test_what_is_no_connection_is_refused(client: Recorder) -> None:
    with pytest.raises(TypeError, match="sqlite3, psycopg, asyncpg, SQLAlchemy and Django, not str"):
        Outbox(client).add("no", Event(name="one"))
    with pytest.raises(ValueError, match="no name of a table"):
        Outbox(client, table="a; DROP")
