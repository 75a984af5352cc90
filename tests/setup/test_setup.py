"""`scripts/setup` on machines that are not this one: other installers, no Node, a copy of Holdfast in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
#: Debian 12's pip; the first that runs on Python 3.12 is younger.
OLDEST_PIP = "23.0.1" if sys.version_info < (3, 12) else "23.2.1"
PYTHON: str = getattr(sys, "_base_executable", sys.executable)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Machine:
    """An environment in `folder`, and a PATH on which Node is broken."""

    def __init__(self, folder: Path) -> None:
        self.venv = folder / "with a blank"
        self.tools = folder / "tools"
        self.tools.mkdir()
        node = self.tools / "node"
        node.write_text("#!/bin/sh\nexit 1\n")
        node.chmod(0o755)
        path = f"{self.tools}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "PYTHON": PYTHON}

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment | more, capture_output=True, text=True, check=False, timeout=800
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def set_up(self) -> str:
        """What the set-up says; without uv unless it is among the tools."""
        without = {} if (self.tools / "uv").exists() else {"NO_UV": "1"}
        return self.run("scripts/setup", self.venv, **without).stderr

    def install(self, *what: str) -> None:
        self.run(self.venv / "bin" / "python", "-m", "pip", "install", "-q", *what)

    def check(self) -> None:
        """The command line runs this checkout, the demo's packages are there, and Node works."""
        python = self.venv / "bin" / "python"
        assert self.run(self.venv / "bin" / "holdfast", "version").stdout.strip()
        code = "import fastapi, inngest, uvicorn, holdfast; print(holdfast.__file__)"
        assert Path(self.run(python, "-c", code).stdout.strip()).is_relative_to(ROOT / "src")
        assert int(self.run(self.venv / "bin" / "node", "--version").stdout[1:].partition(".")[0]) >= 20
        path = f"{self.venv / 'bin'}{os.pathsep}{self.environment['PATH']}"
        assert self.run(self.venv / "bin" / "npm", "--version", PATH=path).stdout.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_old_pip(machine: Machine) -> None:
    machine.run(PYTHON, "-m", "venv", machine.venv)
    machine.install(f"pip=={OLDEST_PIP}")
    machine.set_up()
    machine.check()
    assert OLDEST_PIP in machine.run(machine.venv / "bin" / "pip", "--version").stdout


def test_todays_pip_and_a_copy_in_the_way(machine: Machine) -> None:
    machine.run(PYTHON, "-m", "venv", machine.venv)
    machine.install("--upgrade", "pip")
    assert "Setting up" in machine.set_up()
    machine.check()
    assert machine.set_up() == ""
    machine.install("--no-deps", "--force-reinstall", ".[server]")
    assert "Setting up" in machine.set_up()
    machine.check()


def test_uv(machine: Machine, tmp_path: Path) -> None:
    machine.run(PYTHON, "-m", "venv", tmp_path / "uv")
    machine.run(tmp_path / "uv" / "bin" / "python", "-m", "pip", "install", "-q", "uv")
    (machine.tools / "uv").symlink_to(tmp_path / "uv" / "bin" / "uv")
    machine.set_up()
    machine.check()
    machine.run(machine.venv / "bin" / "pip", "--version")
