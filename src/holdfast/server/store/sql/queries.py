"""Named queries: an SQL file is read into its sections, each below a line `-- name: <name>`."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_SECTION: Final = re.compile(r"^-- name: (\w[\w ]*)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)


@cache
def read_queries(package: str, name: str) -> dict[str, str]:
    """Read the sections of `sql/<name>.sql` in a package. One may use earlier ones as `{name}`; other braces stay."""
    text = resources.files(package).joinpath(f"sql/{name}.sql").read_text("utf-8")
    parts = _SECTION.split(text)[1:]
    queries: dict[str, str] = {}
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        query = _COMMENT.sub("", body).strip()
        for known, columns in queries.items():
            query = query.replace(f"{{{known}}}", columns)
        queries[section] = query
    return queries
