"""A server's reading side without an engine: a database file, a backend that records commands, a client."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from starlette.applications import Starlette

from holdfast.server import logs
from holdfast.server.api.graphql import GraphQLApi
from holdfast.server.api.operators import devtools
from holdfast.server.api.rest.v1 import cancellation_routes, function_routes, run_routes, why_routes
from holdfast.server.api.sdk import run_state
from holdfast.server.store.sql.history import SqlHistory
from holdfast.server.store.sqlite.history import SqliteHistory
from mirror import Mirror

from .book import START, Library
from .client import Client
from .fake_backend import FakeBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.server.config import Config


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
def api(library: Library, request: pytest.FixtureRequest) -> Iterator[Api]:
    mirrored = request.config.getoption("--store") == "postgresql"
    history = SqlHistory(Mirror(library.path)) if mirrored else SqliteHistory(library.path)
    backend = FakeBackend(history, START + 60_000)
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
