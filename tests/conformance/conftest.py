"""Fixtures: one server and at most one process of each app for the whole session, started when first asked for."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from .fleet import Fleet
from .harness import Platform
from .processes import HERE, Process, server_process
from .raw import Endpoint, Listener, sdk, serving, upstream_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from .harness import App

JS_APP = HERE / "js_app"
AHEAD = (
    "step-retry",
    "step-fails",
    "step-fails-caught",
    "fn-retry",
    "retry-after",
    "retry-after-in-step",
    "parallel-one-fails",
    "parallel-mixed",
    "wait-timeout",
    "invoke-timeout",
    "timeout-finish",
)
"""Slow functions whose one run the tests look at: started with the app, so that their waiting overlaps."""
PYTHON = [pytest.param(kind, marks=pytest.mark.sdk_python) for kind in ("fastapi", "flask")]
JS = [pytest.param(kind, marks=pytest.mark.sdk_js) for kind in ("js", "js-plain")]


@pytest.fixture(scope="session")
def upstream() -> Iterator[Endpoint]:
    with serving(upstream_answer) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """`holdfast dev`, ephemeral, alone."""
    process = server_process("dev", tmp_path_factory.mktemp("server") / "server.log", "--no-discovery", "--no-poll")
    process.start("/health")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def platform(server: Process) -> Iterator[Platform]:
    client = Platform(server.url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def listener(platform: Platform) -> Iterator[Listener]:
    with serving(lambda _: sdk(200, None)) as endpoint:
        yield Listener(platform, endpoint)


@pytest.fixture(scope="session")
def node_app() -> Path:
    """The JavaScript app with its packages, installed from the lock file when they are missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("the JavaScript suites need Node 20 and npm on the PATH")
    if not all((JS_APP / "node_modules" / name).is_dir() for name in ("inngest", "@inngest/realtime")):
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(JS_APP)]
        subprocess.run(install, check=True, capture_output=True, timeout=300)
    return JS_APP


@pytest.fixture(scope="session")
def fleet(
    platform: Platform, upstream: Endpoint, listener: Listener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """The apps of `server`; the listener is there before them, so that it hears of all their runs."""
    fleet = Fleet(platform, upstream.url, tmp_path_factory.mktemp("apps"))
    yield fleet
    fleet.stop()


def chosen(request: pytest.FixtureRequest, kind: str) -> App:
    if kind.startswith("js"):
        request.getfixturevalue("node_app")
    fleet: Fleet = request.getfixturevalue("fleet")
    app = fleet.app(kind)
    app.begin(*AHEAD)
    return app


@pytest.fixture(params=[*PYTHON, *JS])
def app(request: pytest.FixtureRequest) -> App:
    """Each app in turn: the scenario exists in both languages."""
    return chosen(request, request.param)


@pytest.fixture(params=PYTHON)
def python_app(request: pytest.FixtureRequest) -> App:
    return chosen(request, request.param)


@pytest.fixture(params=JS)
def js_app(request: pytest.FixtureRequest) -> App:
    return chosen(request, request.param)


@pytest.fixture
def any_app(request: pytest.FixtureRequest) -> App:
    """One app, where the server alone is under test."""
    return chosen(request, "fastapi")


@pytest.fixture
def extra_app(request: pytest.FixtureRequest) -> Callable[[str, str, str], App]:
    """Another app of a kind's process: (kind, app id, path)."""

    def make(kind: str, app_id: str, path: str) -> App:
        chosen(request, kind)
        fleet: Fleet = request.getfixturevalue("fleet")
        return fleet.app(kind, app_id, path)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the server's log with a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Process) and server.log.exists():
        report.sections.append(("server log", server.tail(40)))
    return report
