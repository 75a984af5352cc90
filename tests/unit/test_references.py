"""What code and documentation cite exists: pages, their sections, decisions. Links and anchors: `test_docs_links`."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "docs" / "protocol"
FOLDERS = ("src", "tests", "benchmarks", "scripts", "examples")
LEFT_OUT = {"node_modules", Path(__file__).name}
PYTHON = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py") if not LEFT_OUT & {*path.parts})
SCRIPTS = sorted(path for path in (ROOT / "ui").glob("**/*.ts*") if "node_modules" not in path.parts)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_SECTIONS = r"§\s?\d[\d.]*(?:\s?[-–]\s?\d[\d.]*)?"  # noqa: RUF001  # an en dash is one way to write a range
_CITED = re.compile(rf"(?<![\w/.*-])((?:[\w.-]+/)*[\w-]+\.md)\b`?((?:,? (?:and )?{_SECTIONS})*)")
_PATH = re.compile(r"(?<![\w/.])docs/[\w/-]+\.md")
_LOOSE = re.compile(rf"(?<!RFC \d{{4}} )(?<!RFC \d{{4}}, )(?:{_SECTIONS})")
_WORDED = re.compile(r"\bsections? (\d+(?:\.\d+)*)")
_DECISION = re.compile(r"(?:\bADR[ -]?|docs/adr/)(\d{4})")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_HEADING = re.compile(r"^#+ (\d+(?:\.\d+)*)\.? ", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@cache
def sections(page: Path) -> frozenset[str]:
    """Return the numbers of a page's sections."""
    return frozenset(_HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))))


def page_of(name: str, beside: Path) -> Path | None:
    """Return the page of a name: a path from the root, the citing file or docs/, or a page of the protocol."""
    places = (ROOT / name, beside.parent / name, PROTOCOL / name, ROOT / "docs" / name)
    return next((place.resolve() for place in places if place.is_file()), None)


def dangling(text: str, beside: Path, *own: Path) -> Iterator[str]:
    """Yield what a text cites that doesn't exist; a section without a page is one of the pages cited, or of `own`."""
    known = set(own)
    for name, numbers in _CITED.findall(text):
        page = page_of(name, beside)
        if page is None:
            yield name
            continue
        known.add(page)
        yield from (f"{name} §{number}" for number in _NUMBER.findall(numbers) if number not in sections(page))
    for loose in _LOOSE.findall(_CITED.sub("", text)):
        for number in _NUMBER.findall(loose):
            if not any(number in sections(page) for page in known):
                yield f"§{number}"
    for number in _DECISION.findall(text):
        if len(list((ROOT / "docs" / "adr").glob(f"{number}-*.md"))) != 1:
            yield f"ADR {number}"


def prose(path: Path) -> str:
    """Return the docstrings and comments of a Python file, and the paths of pages in its strings."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, nodes)]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join([*documented, *comments, *_PATH.findall(source)])


def test_python() -> None:
    assert [(str(path.relative_to(ROOT)), what) for path in PYTHON for what in dangling(prose(path), path)] == []


def test_the_web_ui() -> None:
    texts = [(path, path.read_text(encoding="utf-8")) for path in SCRIPTS]
    assert [(path.name, what) for path, text in texts for what in dangling(text, path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documentation(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    numbered = page.parent == PROTOCOL
    worded = [number for number in _WORDED.findall(text) if numbered and number not in sections(page)]
    assert [*dangling(_FENCE.sub("", text), page, page), *worded] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see execution.md §2.4 and §3.8", []),
        ("execution.md §4.2-4.5, §99", ["execution.md §99"]),
        ("flow-control.md, whose §4.7 says so", []),
        ("flow-control.md, whose §47 says so", ["§47"]),
        ("(§1.7)", ["§1.7"]),
        ("RFC 9112 §6.3", []),
        ("DESIGN.md §3", ["DESIGN.md"]),
        ("docs/adr/0001-decide-commit-act.md", []),
        ("docs/adr/0001", []),
        ("ADR 9999", ["ADR 9999"]),
        ("docs/reference/nothing.md", ["docs/reference/nothing.md"]),
    ],
)
def test_what_dangles(text: str, found: list[str]) -> None:
    assert list(dangling(text, ROOT / "src" / "module.py")) == found


def modules(page: Path) -> list[str]:
    """Return the files and folders that a page names in code spans: `store/sqlite/lists.py`, `server/api/`."""
    spans = re.findall(r"`([\w./-]+)(?::[^`]*)?`", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return [span for span in spans if "/" in span and (span.endswith(("/", ".py")))]


def paths(folder: Path) -> list[Path]:
    """Return a folder and all that it holds, packages of others left out."""
    return [folder, *(path for path in folder.rglob("*") if "node_modules" not in path.parts)]


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_modules_that_are_named_exist(name: str) -> None:
    named = modules(ROOT / name)
    assert len(named) > 10
    files = [path for folder in (*FOLDERS, "docs", "ui/src") for path in paths(ROOT / folder)]
    known = ["/ui", *(f"/{path.relative_to(ROOT).as_posix()}" for path in files)]
    assert [module for module in named if not any(path.endswith(f"/{module.rstrip('/')}") for path in known)] == []
