"""The app of the conformance suite, served by this SDK instead of the official one."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
APP = Path(__file__).parent.parent / "conformance" / "python_app.py"

import as_inngest  # noqa: E402 - found beside this file

if __name__ == "__main__":
    as_inngest.install()
    sys.path.insert(0, str(APP.parent))
    runpy.run_path(str(APP), run_name="__main__")
