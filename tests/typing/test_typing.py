"""mypy and pyright agree with what the SDK promises about types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases.py"
ROOT = CASES.parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "checker",
    [["mypy", "--strict", "--warn-unused-ignores"], ["pyright", "--pythonpath", sys.executable]],
    ids=["mypy", "pyright"],
)
def test_types_are_what_they_should_be(checker: list[str]) -> None:
    command = [sys.executable, "-m", *checker, str(CASES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
