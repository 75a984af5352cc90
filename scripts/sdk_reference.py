"""Write docs/reference/sdk.md from the docstrings of what `holdfast` exports; `--check` only compares."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import ModuleType

import holdfast
import holdfast.connect as workers

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "sdk.md"
HEAD = """# Python SDK

Made of docstrings by `scripts/sdk_reference.py`. Everything here is imported from `holdfast`, workers from
`holdfast.connect`.
"""
WORKERS = """
# Workers

Imported from `holdfast.connect`; [how to connect a worker](../how-to/connect.md).
"""


def main() -> int:
    text = HEAD + entries(holdfast) + WORKERS + entries(workers)
    if "--check" in sys.argv:
        return int(PAGE.read_text() != text and bool(print(f"{PAGE} is out of date: run make format") or True))
    PAGE.write_text(text)
    return 0


def entries(module: ModuleType) -> str:
    return "".join(entry(name, getattr(module, name)) for name in sorted(module.__all__, key=str.lower))


def entry(name: str, found: object) -> str:
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return ""
    parts = [f"\n## {name}\n", doc(found)]
    if inspect.isclass(found):
        methods = sorted((member, each) for member, each in vars(found).items() if is_public(member, each))
        parts += [method(member, each) for member, each in methods]
    return "\n".join(parts)


def is_public(name: str, member: object) -> bool:
    return not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, (property, classmethod)))


def method(name: str, member: object) -> str:
    inner = member.__func__ if isinstance(member, classmethod) else member
    call = "" if isinstance(member, property) else parameters(inner)
    return f"**`{name}{call}`**\n\n{doc(inner)}"


def parameters(member: object) -> str:
    names = [each for each in inspect.signature(member).parameters.values() if each.name not in {"self", "cls"}]  # type: ignore[arg-type]
    return f"({', '.join(str(each.replace(annotation=inspect.Parameter.empty)) for each in names)})"


def doc(member: object) -> str:
    lines = (inspect.getdoc(member) or "").splitlines()
    return "\n".join(f"- `{line.strip().partition(':')[0]}`:{line.strip().partition(':')[2]}" if is_item(line) else line
                     for line in lines) + "\n"  # fmt: skip


def is_item(line: str) -> bool:
    return line.startswith("    ") and not line.startswith("     ") and ":" in line


if __name__ == "__main__":
    sys.exit(main())
