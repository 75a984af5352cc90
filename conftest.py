"""Settings of all tests: nothing is skipped silently, and nothing fails because the machine is slow.

With CI set, a skipped test fails the run unless its reason stands in `ALLOWED`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Reasons for which CI may skip a test. What only lacks a tool is none of them: CI has the tools.
#: Mounting needs rights that no package gives; a full disk without them is tested in tests/store/test_disk_full.py.
ALLOWED = ("checkpointed runs have a tree of their own shape", "no file system can be mounted here")

settings.register_profile("holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("holdfast")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the reading of the APIs be tested over PostgreSQL, too: `pytest tests/api/graphql --store postgresql`."""
    parser.addoption("--store", choices=["sqlite", "postgresql"], default="sqlite", help="what APIs read in tests")


IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
Skip = pytest.TestReport | pytest.CollectReport


def unexplained(reporter: pytest.TerminalReporter) -> Iterator[Skip]:
    """Skips whose reason is not allowed."""
    skipped: list[Skip] = reporter.stats.get("skipped", [])
    return (report for report in skipped if not any(reason in str(report.longrepr) for reason in ALLOWED))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a run that would be green but for them."""
    reporter: pytest.TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == pytest.ExitCode.OK and reporter and any(unexplained(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names them."""
    for report in unexplained(terminalreporter) if IN_CI else ():
        terminalreporter.write_line(f"SKIPPED IN CI {report.nodeid}: {report.longrepr}", red=True)
