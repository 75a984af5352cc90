"""Writes docs/reference/http-api.md from the OpenAPI document; with `--check`, says whether that is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from holdfast.server.api.openapi.reference import markdown

PAGE = Path(__file__).parent.parent / "docs/reference/http-api.md"


def main() -> int:
    made = markdown()
    if "--check" not in sys.argv:
        PAGE.write_text(made)
        return 0
    if PAGE.is_file() and PAGE.read_text() == made:
        return 0
    print(f"{PAGE.name} is out of date: run python scripts/api_reference.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
