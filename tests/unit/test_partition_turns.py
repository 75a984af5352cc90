"""Turns of a partition: what they count, and how long they may hold the loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from holdfast.protocol.events import Event, read_events
from holdfast.protocol.functions import FunctionConfig, Step, Trigger
from holdfast.protocol.ids import UlidSource
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.registry import Function
from holdfast.server.engine.settings import Settings
from holdfast.server.runtime.partition import Partition, now_ms
from holdfast.server.store.sqlite.store import SqliteStore

DEAR = "event.data.ids.all(a, event.data.ids.all(b, a >= 0.0 || b >= 0.0))"


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = SqliteStore(None, "none")
    yield made
    made.close()


def function(number: int, expression: str = "") -> Function:
    slug = f"app-f{number}"
    steps = (Step("step", "step", f"http://app/api?fnId={slug}&stepId=step", None),)
    config = FunctionConfig(slug, slug, (Trigger(event="go", expression=expression),), steps)
    return Function(f"id-{slug}", "id-app", slug, slug, 1, config)


def partition(store: SqliteStore, *functions: Function) -> Partition:
    ids = UlidSource(lambda bits: (1 << bits) - 1)
    owner = Partition(lambda epoch: Engine(ids, lambda most: 0, Settings(), epoch), store)
    owner.configure = lambda: owner._engine.configure(functions, now_ms())
    owner.configure()
    return owner


def events(owner: Partition, count: int, data: object) -> list[Event]:
    body = json.dumps([{"name": "go", "data": data}] * count).encode()
    new_id = owner._engine._core.new_id
    return read_events(body, content_type="application/json", now_ms=now_ms(), new_id=new_id).events


def test_evaluations_that_are_given_up_are_counted_and_some_are_logged(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store, function(1, DEAR))
        with capture_logs() as logs:
            for event in events(owner, 3, {"ids": list(range(5_000))}):
                assert owner._engine.on_event(event, now_ms()) == []
                await owner.committed()
        assert owner.tally.expressions_exceeded == 3
        (line,) = [line for line in logs if "given up" in line["event"]]
        assert line["expression"] == DEAR
        await owner.close()

    asyncio.run(main())
