"""A page of the manual that a script makes: written, or with `--check` on the command line compared."""

from __future__ import annotations

import sys
from pathlib import Path

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def keep(name: str, text: str) -> int:
    """Writes a page of the reference, or tells whether it is up to date; answers the exit code."""
    page = REFERENCE / name
    if "--check" not in sys.argv:
        page.write_text(text)
    elif not page.is_file() or page.read_text() != text:
        print(f"{name} is out of date: run `make format`")
        return 1
    return 0
