"""What only the PostgreSQL store promises: ownership, one round trip, durability, texts, errors that help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

import databases
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.model.account import User
from holdfast.server.store.postgres import store as module
from holdfast.server.store.postgres.queries import literal, translate
from holdfast.server.store.postgres.settings import Settings, shown
from holdfast.server.store.postgres.store import PostgresStore, open_store
from holdfast.server.store.records import Immediate
from holdfast.server.store.store import SchemaError, StoreError

from .harness import begin, begun, event, job, pause, put, run, span

_SCHEMA: list[str] = []


def settings(schema: str = "") -> Settings:
    """One schema for all of these tests, unless one needs its own: making the tables is what takes time."""
    if not _SCHEMA:
        _SCHEMA.append(databases.new_schema())
    return Settings(databases.uri(), schema or _SCHEMA[0])


def play(scene: Callable[[PostgresStore], Awaitable[None]]) -> None:
    async def main() -> None:
        store = await open_store(settings())
        try:
            await scene(store)
        finally:
            await store.close()

    asyncio.run(main())


async def ask(sql: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(databases.uri())
    try:
        return [tuple(row) for row in await connection.fetch(sql.format(s=settings().schema), *values)]
    finally:
        await connection.close()


def turn(name: str) -> Changes:
    """A turn with something of everything, of ids that no other test has."""
    changes = begun(name)
    derive(changes)
    return changes


def test_a_late_commit_of_a_former_owner_is_refused_whole() -> None:
    async def scene(store: PostgresStore) -> None:
        assert store._heart is not None
        store._heart.cancel()
        await ask("UPDATE {s}.nodes SET lease_until = now() - interval '1 minute'")
        successor = await open_store(settings())
        try:
            assert successor.epoch > store.epoch
            with pytest.raises(StoreError, match="another Holdfast server has claimed"):
                await store.commit(turn("fenced"))
            await successor.commit(turn("kept"))
            found = [row[0] for row in await successor.load_events(["e-fenced", "e-kept"])]
            assert found == ["e-kept"]
            with pytest.raises(StoreError, match="in use by another Holdfast server"):
                await store.begin_epoch()
        finally:
            await successor.close()

    play(scene)


def test_who_lives_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)

    async def scene(store: PostgresStore) -> None:
        with pytest.raises(StoreError, match=r"in use by another Holdfast server .*process"):
            await open_store(settings())
        await store.commit(turn("still"))

    play(scene)


def test_a_turn_is_one_round_trip_whatever_it_writes() -> None:
    async def scene(store: PostgresStore) -> None:
        sink = Immediate(store)
        store.records(sink).put_user(User("u1", "Anna", "admin", "hash", "", 5, None))
        changes = begin(begun("rt1"), run("rt2"), job("rt2"), pause("rt2"))
        changes.events.append(event("given", deduplicated=True))
        changes.steps.append(("rt1", 1, "s", b"1", span()))
        changes.spans.append(("rt1", 2, None, span()))
        changes.idempotency.append(("k", "rt1", 1))
        changes.flow["throttle", "fn"] = 1
        put(changes, job("rt1", 1, attempt=1))
        derive(changes)
        sent: list[str] = []
        writer = store._writer
        assert writer is not None
        real = writer.execute

        async def counted(text: str, **more: Any) -> str:
            sent.append(text)
            return await real(text, **more)

        monkey = pytest.MonkeyPatch()
        monkey.setattr(type(writer), "execute", lambda _self, text, **more: counted(text, **more))
        try:
            await store.commit(changes, sink.writes)
        finally:
            monkey.undo()
        assert len(sent) == 1
        assert await ask("SELECT name FROM {s}.users WHERE id = 'u1'") == [("Anna",)]

    play(scene)


def test_a_commit_is_durable_where_the_default_is_not() -> None:
    async def scene(store: PostgresStore) -> None:
        connection = await asyncpg.connect(databases.uri())
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = off")
                await connection.execute(f"SELECT {settings().schema}.commit(0, {store.epoch}, '{{}}')")
                assert await connection.fetchval("SHOW synchronous_commit") == "on"
        finally:
            await connection.close()

    play(scene)


def test_a_name_with_a_nul_is_stored_with_a_sign_for_it() -> None:
    async def scene(store: PostgresStore) -> None:
        changes = Changes()
        changes.events.append(event("nul", name="a\0b", json=rb'{"a":"\u0000","b":"\\u0000"}'))
        await store.commit(changes)
        [found] = await store.load_events(["nul"])
        assert (found[1], found[5]) == ("a\ufffdb", rb'{"a":"\u0000","b":"\\u0000"}')

    play(scene)


@pytest.mark.parametrize("text", ["$j$", "it's", r"\u0000", "\0", "\\", '"', "é\n"])
def test_a_literal_holds_any_text(text: str) -> None:
    async def main() -> None:
        [(found,)] = await ask(f"SELECT ({literal([text]).replace('{', '{{').replace('}', '}}')}::jsonb) ->> 0")
        assert found == text.replace("\0", "\ufffd")

    asyncio.run(main())


def test_queries_get_their_schema_and_their_parameters() -> None:
    text, names = translate("SELECT a::text FROM runs r WHERE a = :x AND b = :y OR c = :x", "s")
    assert (text, names) == ("SELECT a::text FROM s.runs r WHERE a = $1 AND b = $2 OR c = $1", ("x", "y"))
    assert translate("SELECT ? FROM {schema}.jobs JOIN events e ON ?", "s")[0] == (
        "SELECT $1 FROM s.jobs JOIN s.events e ON $2"
    )


async def _refusal(given: Settings) -> str:
    try:
        store = await open_store(given)
    except (StoreError, SchemaError) as error:
        return str(error)
    await store.close()
    raise AssertionError("it was opened")


def test_what_is_wrong_with_a_database_is_said_without_its_password() -> None:
    async def main() -> None:
        base = databases.uri().replace("holdfast@", "holdfast:hunter2@")
        place = base.rpartition("/")[0]
        refused = {
            "there is no such database": Settings(f"{place}/nobody"),
            "nothing answers there": Settings("postgresql://u:hunter2@127.0.0.1:1/x"),
            "sslmode": Settings(f"{base}?sslmode=require"),
        }
        for text, given in refused.items():
            told = await _refusal(given)
            assert text in told
            assert "hunter2" not in told

    asyncio.run(main())
    assert shown("postgresql://u:hunter2@a,b/db?password=x") == "postgresql://u@a,b/db"


def test_a_schema_of_a_newer_version_or_of_others_is_left_alone() -> None:
    async def main() -> None:
        newer, others = databases.new_schema(), databases.new_schema()
        await ask(f"CREATE SCHEMA {newer}")
        await ask(f"CREATE TABLE {newer}.meta (key text, value text)")
        await ask(f"INSERT INTO {newer}.meta VALUES ('schema', '99')")
        await ask(f"CREATE SCHEMA {others}")
        await ask(f"CREATE TABLE {others}.things (n int)")
        assert "has version 99, but this Holdfast knows only versions up to" in await _refusal(settings(newer))
        assert "belongs to another program" in await _refusal(settings(others))

    asyncio.run(main())
