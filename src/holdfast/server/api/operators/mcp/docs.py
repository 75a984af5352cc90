"""Tools that read the documentation, which the package carries: listing, searching, reading a page."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

import holdfast
from holdfast.server.api.operators.mcp.tool import Tool, ToolError, tool
from holdfast.server.expressions.errors import ExpressionError
from holdfast.server.expressions.pattern import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.expressions.automaton import Automaton

_MOST_MATCHES: Final = 100
_LONGEST_PATTERN: Final = 200
_SEARCH_S: Final = 2.0
_SDKS: Final = ("python", "typescript")


class ListDocs(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """All pages."""


class GrepDocs(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Lines of the documentation."""

    pattern: Annotated[str, Meta(description="A regular expression (RE2), in either case.")]
    limit: Annotated[int, Meta(description=f"How many lines at most, 1 to {_MOST_MATCHES}.")] = 10


class ReadDoc(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One page."""

    path: Annotated[str, Meta(description="The page's path, as returned by list_docs and grep_docs.")]


@cache
def _pages() -> Mapping[str, str]:
    """Texts of the pages by their path: in the package, or beside the sources that it is run from."""
    package = Path(holdfast.__file__).parent
    places = (package / "_docs", package.parents[1] / "docs")
    folder = next((place for place in places if (place / "README.md").is_file()), None)
    if folder is None:
        return {}
    found = sorted(folder.rglob("*.md"))
    return {page.relative_to(folder).as_posix(): page.read_text("utf-8") for page in found}


async def _list(_backend: Backend, _given: ListDocs) -> object:
    pages = await asyncio.to_thread(_pages)
    categories: dict[str, int] = {}
    for path in pages:
        category = path.rpartition("/")[0] or "overview"
        categories[category] = categories.get(category, 0) + 1
    return {
        "totalDocs": len(pages), "totalChunks": sum(text.count("\n## ") + 1 for text in pages.values()),
        "categories": categories, "sdks": _SDKS,
        "docs": [{"path": path, "title": _title(text)} for path, text in pages.items()],
    }  # fmt: skip


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


async def _grep(_backend: Backend, given: GrepDocs) -> object:
    if not 1 <= given.limit <= _MOST_MATCHES:
        raise ToolError(f"limit must be 1 to {_MOST_MATCHES}")
    if not 1 <= len(given.pattern) <= _LONGEST_PATTERN:
        raise ToolError(f"pattern must have 1 to {_LONGEST_PATTERN} characters")
    try:
        pattern = compiled(f"(?i){given.pattern}")
    except ExpressionError as error:
        raise ToolError(f"pattern can't be read: {error}") from None
    matches, whole = await asyncio.to_thread(_search, pattern, given.limit)
    found: dict[str, object] = {"matches": matches, "count": len(matches)}
    return found if whole else {**found, "message": "The search took too long: there may be more"}


def _search(pattern: Automaton, most: int) -> tuple[list[dict[str, object]], bool]:
    """Return the first lines that match, and whether all were looked at that had to be."""
    deadline = time.monotonic() + _SEARCH_S
    matches: list[dict[str, object]] = []
    for path, text in _pages().items():
        for number, line in enumerate(text.splitlines(), 1):
            if time.monotonic() > deadline:
                return matches, False
            if pattern.search(line):
                matches.append({"file": path, "line": number, "content": line.strip()})
                if len(matches) == most:
                    return matches, True
    return matches, True


async def _read(_backend: Backend, given: ReadDoc) -> object:
    text = (await asyncio.to_thread(_pages)).get(given.path.removeprefix("docs/"))
    if text is None:
        raise ToolError(f"No page {given.path}. Use list_docs to list the pages")
    return {"path": given.path, "size": len(text.encode()), "content": text}


TOOLS: Final = (
    Tool(
        "list_docs", "List documentation", "The pages of Holdfast's documentation, with their titles.",
        ListDocs, tool(ListDocs, _list), reads=True,
    ),
    Tool(
        "grep_docs", "Search documentation", "Lines of the documentation that match a regular expression.",
        GrepDocs, tool(GrepDocs, _grep), reads=True,
    ),
    Tool(
        "read_doc", "Read documentation", "A page of the documentation, as Markdown.",
        ReadDoc, tool(ReadDoc, _read), reads=True,
    ),
)  # fmt: skip
