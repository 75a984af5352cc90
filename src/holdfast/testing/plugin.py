"""The pytest plugin `holdfast`: fixtures for functions and for apps. It imports nothing until one is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from holdfast.testing.run import Run
    from holdfast.testing.server import LocalServer, ServerClock

_UPDATE = "--holdfast-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes snapshots."""
    parser.getgroup("holdfast").addoption(
        _UPDATE, action="store_true", help="write the snapshots of traces anew instead of comparing with them"
    )


@pytest.fixture
def holdfast_server(request: pytest.FixtureRequest) -> Iterator[LocalServer]:
    """A dev server in this process, on a free port; in virtual time if the test asks for `clock`, too."""
    from holdfast.testing.clock import VirtualClock  # noqa: PLC0415 - not for tests that don't use it
    from holdfast.testing.server import LocalServer  # noqa: PLC0415 - as above

    virtual = VirtualClock() if "clock" in request.fixturenames else None
    with LocalServer(clock=virtual) as server:
        yield server


@pytest.fixture
def clock(holdfast_server: LocalServer) -> ServerClock:
    """Move the time of `holdfast_server`, which stands still until `clock.advance("3d")`."""
    from holdfast.testing.server import ServerClock  # noqa: PLC0415 - as above

    return ServerClock(holdfast_server)


@pytest.fixture
def holdfast_run() -> Iterator[Callable[..., Run]]:
    """Run a function to its end, with the options of `TestEngine`."""
    from contextlib import ExitStack  # noqa: PLC0415 - as above

    from holdfast.testing.sync import SyncTestEngine  # noqa: PLC0415 - as above

    with ExitStack() as engines:

        def run(function: object, event: object, **options: Any) -> Run:
            engine = engines.enter_context(SyncTestEngine(function, **options))
            return engine.finish(engine.send(event))

        yield run


@pytest.fixture
def trace_snapshot(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a run's trace with `snapshots/<module>/<test>.txt`: `trace_snapshot(run)`, or with a name as well."""

    def compare(run: Run, name: str = "") -> None:
        folder = request.path.parent / "snapshots" / request.path.stem
        file = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name + (f'.{name}' if name else ''))}.txt"
        _compare(run.trace(), file, update=bool(request.config.getoption(_UPDATE)))

    return compare


def _compare(trace: str, file: Path, *, update: bool) -> None:
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(trace, encoding="utf-8")
    elif not file.exists():
        pytest.fail(f"there is no snapshot {file}; write it with pytest {_UPDATE}", pytrace=False)
    else:
        assert trace == file.read_text(encoding="utf-8"), f"the trace differs from {file}; if it should: {_UPDATE}"
