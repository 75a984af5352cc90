"""A server's reading side without an engine: a database file, a backend that records commands, a client."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from starlette.applications import Starlette

from holdfast.protocol.ids import ulid
from holdfast.server import logs
from holdfast.server.api.common.backend import CancelOutcome, Paused, PauseMode, RunSnapshot, ServerInfo, Worker
from holdfast.server.api.graphql import GraphQLApi
from holdfast.server.api.operators import devtools
from holdfast.server.api.rest.v1 import cancellation_routes, function_routes, run_routes, why_routes
from holdfast.server.api.sdk import run_state
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.reason import Reason
from holdfast.server.store.sqlite.history import SqliteHistory

from .book import START, Library
from .client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.server.config import Config


@dataclass
class FakeBackend:
    """Commands are recorded and answered from attributes."""

    history: SqliteHistory
    info: ServerInfo = field(default_factory=lambda: ServerInfo("dev", "dev-", {"dir": ""}, {"run-details-v4": True}))
    now: int = START + 60_000
    commands: list[tuple[Any, ...]] = field(default_factory=list)
    cancelled: CancelOutcome = CancelOutcome.MISSING
    rerun_id: str | None = None
    app_error: str | None = None
    apps: bool = False
    signalled: str | None = None
    state: RunSnapshot | None = None
    connections: list[Worker] = field(default_factory=list)
    reasons: dict[str, list[Reason]] = field(default_factory=dict)  # by run or event id
    bulk: list[BulkCancellation] = field(default_factory=list)
    pauses: dict[str, Paused] = field(default_factory=dict)
    limited: bool = False
    ids: int = 0

    def now_ms(self) -> int:
        return self.now

    def new_id(self) -> str:
        self.ids += 1
        return ulid(self.now, self.ids)

    async def invoke(self, slug: str, **given: Any) -> str:
        self.commands.append(("invoke", slug, given))
        return ulid(self.now, 0)

    async def cancel_run(self, run_id: str) -> CancelOutcome:
        self.commands.append(("cancel_run", run_id))
        return self.cancelled

    async def rerun(self, run_id: str, **given: Any) -> str | None:
        self.commands.append(("rerun", run_id, given))
        return self.rerun_id

    async def create_app(self, url: str) -> str | None:
        self.commands.append(("create_app", url))
        return self.app_error

    async def update_app(self, app_id: str, url: str) -> bool:
        self.commands.append(("update_app", app_id, url))
        return self.apps

    async def delete_app(self, app_id: str) -> bool:
        self.commands.append(("delete_app", app_id))
        return self.apps

    async def delete_app_by_name(self, name: str) -> bool:
        self.commands.append(("delete_app_by_name", name))
        return self.apps

    async def remove_app_by_url(self, url: str) -> bool:
        self.commands.append(("remove_app_by_url", url))
        return self.apps

    async def signal(self, name: str, data: bytes) -> str | None:
        self.commands.append(("signal", name, data))
        return self.signalled

    async def run_state(self, run_id: str) -> RunSnapshot | None:
        return self.state

    async def why_runs(self, runs: list[Any]) -> dict[str, list[Reason]]:
        self.commands.append(("why_runs", [run.id for run in runs]))
        return {run.id: self.reasons.get(run.id, []) for run in runs}

    async def why_event(self, event: Any, runs: list[Any]) -> list[Reason]:
        self.commands.append(("why_event", event.id, [run.id for run in runs]))
        return self.reasons.get(event.id, [])

    async def cancel_many(self, cancellation: BulkCancellation) -> None:
        self.bulk.insert(0, cancellation)

    def cancellations(self) -> list[BulkCancellation]:
        return self.bulk

    async def remove_cancellation(self, id: str) -> bool:
        known = [one for one in self.bulk if one.id == id]
        for one in known:
            self.bulk.remove(one)
        return bool(known)

    async def pause_function(self, function_id: str, mode: PauseMode) -> None:
        self.pauses[function_id] = Paused(mode, 2)

    async def resume_function(self, function_id: str) -> None:
        self.pauses.pop(function_id, None)

    def paused(self, function_id: str) -> Paused | None:
        return self.pauses.get(function_id)

    async def backlog(self, function_id: str) -> None:
        return None

    async def workers(self) -> list[Worker]:
        return self.connections

    def set_step_limit(self, function_id: str, limit: int | None) -> bool:
        self.commands.append(("set_step_limit", function_id, limit))
        return self.limited

    def set_state_size_limit(self, function_id: str, limit: int | None) -> bool:
        self.commands.append(("set_state_size_limit", function_id, limit))
        return self.limited

    async def test_reset(self) -> None:
        self.commands.append(("test_reset",))

    async def test_pause_function(self, function_id: str) -> None:
        self.commands.append(("test_pause_function", function_id))

    def test_queue_size(self, function_id: str) -> int:
        self.commands.append(("test_queue_size", function_id))
        return 3


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Api:
    """The API over one database."""

    library: Library
    backend: FakeBackend
    client: Client

    def gql(self, query: str, /, **variables: Any) -> Any:
        response = self.client.post("/v0/gql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        return response.json()

    def data(self, query: str, /, **variables: Any) -> Any:
        body = self.gql(query, **variables)
        assert "errors" not in body, body["errors"]
        return body["data"]


@pytest.fixture
def set_up_logs() -> Iterator[Callable[[Config], None]]:
    """Sets up logs as a server does. Loggers keep nothing of it: they would write to this test's stderr for ever."""

    def set_up(config: Config) -> None:
        root.handlers = []
        logs.set_up(config)
        structlog.configure(cache_logger_on_first_use=False)

    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    yield set_up
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "holdfast.db")
    yield library
    library.close()


@pytest.fixture
def api(library: Library) -> Iterator[Api]:
    history = SqliteHistory(library.path)
    backend = FakeBackend(history)
    graphql = GraphQLApi(backend)
    modules = (run_state, run_routes, cancellation_routes, function_routes, why_routes, devtools)
    rest = [route for module in modules for route in module.routes(backend)]
    app = Starlette(routes=[*graphql.routes(), *rest])
    client = Client(app)
    yield Api(library, backend, client)
    client.close()
    graphql.close()
    history.close()


RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())
