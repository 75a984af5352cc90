"""Retention over PostgreSQL: what is found is what goes, whole."""

from __future__ import annotations

import asyncio

import databases
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.model.status import RunStatus
from holdfast.server.store.postgres.readers import PostgresReaders
from holdfast.server.store.postgres.settings import Settings
from holdfast.server.store.postgres.store import open_store
from holdfast.server.store.retention import Ended
from holdfast.server.store.sql.expiry import SqlExpiry
from holdfast.server.store.store import settled

from .harness import T0, begun, event, run, span

LAST = "~"


def test_what_is_found_goes_with_all_that_belongs_to_it() -> None:
    async def main() -> None:
        settings = Settings(databases.uri(), databases.new_schema())
        store = await open_store(settings)
        readers = PostgresReaders(settings)
        expiry = SqlExpiry(store, readers)
        try:
            first = begun("r1", "r2")
            first.steps.append(("r1", 1, "s", b"1", span()))
            first.events.append(event("000"))
            first.idempotency.append(("k", "r1", 5))
            derive(first)
            await store.commit(first)
            done = run("r1", ("e-r1",))
            done.status, done.ended_at, done.output = RunStatus.COMPLETED, T0 + 9, b"1"
            second = Changes()
            second.touch(done)
            second.ended.append(done)
            second.jobs["r1", 1] = None
            derive(second)
            await store.commit(second)
            found = await expiry.ended(Ended(RunStatus.COMPLETED, LAST, T0 + 10), "", 9)
            assert (list(found.events), found.last, found.bytes > 0) == (["e-r1"], None, True)
            erased = await settled(expiry.erase(found.groups, 10))
            assert (erased.groups, erased.runs, erased.events) == (1, 1, 1)
            assert [row[0] for row in await store.load_events(["e-r1", "e-r2"])] == ["e-r2"]
            assert await store.load_ended("r1") is None
            idle = await expiry.idle_events(("", -1), 2**41, 9)
            assert idle.events == {"000"}
            keys = await expiry.expired_keys(6, 9)
            assert (await settled(expiry.erase([*idle.groups, *keys], 10))).groups == 2
            assert (await store.recover()).idempotency == []
            assert len(await expiry.empty_totals()) == 1, "that of the run; one event is left of its name"
            assert await expiry.newest("fn", 0) is None
            for of_one in (Ended(RunStatus.FAILED, LAST, T0, "fn"), Ended(RunStatus.SKIPPED, LAST, T0, excepted=["x"])):
                assert (await expiry.ended(of_one, "", 9)).groups == []
            assert await expiry.functions() == await expiry.idle_functions(9) == await expiry.idle_apps(9) == []
            assert await expiry.old_audit(9, 9) == []
        finally:
            readers.close()
            await store.close()

    asyncio.run(main())
