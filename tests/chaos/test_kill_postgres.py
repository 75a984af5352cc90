"""`kill -9` of the server, and a crash of PostgreSQL, under load: what was acknowledged is done, once."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.serving import Served
from databases import QUICK, PostgresServer

from .app import ChaosApp
from .test_kill import Load, check, drain, sync

_SCHEMA = "holdfast"
_PATIENCE_S = 60


class ServedOnPostgres(Served):
    """`holdfast dev` on a PostgreSQL server. Statements are those for SQLite, put into its words."""

    def __init__(self, folder: Path, uri: str, *options: str) -> None:
        super().__init__(folder, "--postgres-uri", uri, *options)
        self._uri = uri

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        if sql.startswith("PRAGMA"):
            return [("ok",)]
        words = sql.replace("json_extract(e.json, '$.data.n')", "(e.json::json -> 'data' ->> 'n')::int")
        words = words.replace("json_extract(json, '$.data.n')", "(json::json -> 'data' ->> 'n')::int")
        numbers = iter(range(1, 100))
        words = re.sub(r"\?", lambda _: f"${next(numbers)}", words)
        found: list[tuple[Any, ...]] = []

        def ask() -> None:
            found.extend(asyncio.run(self._ask(words, parameters)))

        thread = threading.Thread(target=ask)  # a loop may be running here
        thread.start()
        thread.join()
        return found

    async def _ask(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self._uri, server_settings={"search_path": _SCHEMA})
        try:
            return [tuple(row) for row in await connection.fetch(sql, *parameters)]
        finally:
            await connection.close()


async def _crash(database: PostgresServer, load: Load) -> None:
    """PostgreSQL is gone for a moment; the server goes on by itself."""
    await asyncio.to_thread(database.stop, signal.SIGQUIT)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(database.start)
    before, deadline = len(load.acknowledged), time.monotonic() + _PATIENCE_S
    while len(load.acknowledged) < before + 20:
        assert time.monotonic() < deadline, load.server.tail()
        await asyncio.sleep(0.05)


async def chaos(server: ServedOnPostgres, database: PostgresServer, app: ChaosApp, load: Load) -> None:
    await app.serve()
    for crashing in (False, True):
        app.places.life += 1
        await asyncio.to_thread(server.start)
        await sync(server, app)
        sending = asyncio.ensure_future(load.run())
        await asyncio.sleep(1)
        if crashing:
            app.places.life += 1
            await _crash(database, load)
        server.kill()
        await sending
    app.places.life += 1
    await asyncio.to_thread(server.start)
    await sync(server, app)
    await drain(server, load)
    await app.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_of_the_server_and_a_crash_of_the_database_lose_and_repeat_nothing(tmp_path: Path) -> None:
    database = PostgresServer(*(setting for setting in QUICK if not setting.startswith("fsync")))
    server = ServedOnPostgres(tmp_path, database.uri, "--retry-interval", "1")
    app, load = ChaosApp(server.url), Load(server, random.Random(1))
    try:
        asyncio.run(chaos(server, database, app, load))
        assert load.refused, "while the database was away"
        load.refused.clear()
        check(server, app, load, few=True)
    finally:
        server.stop()
        database.remove()
