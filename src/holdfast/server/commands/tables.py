"""Tables and times for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from holdfast.server.activity.text import clock, span
from holdfast.server.terminal import plain

_TINTS = {
    "completed": "green", "failed": "red", "cancelled": "yellow", "running": "blue", "queued": "cyan",
    "skipped": "yellow", "waiting": "cyan", "ok": "green", "error": "red",
}  # fmt: skip
_WIDEST = 60


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings. The last column may be long."""
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(heads, *shown, strict=True)]
    widths[-1] = 0
    click.secho(_row(heads, widths), dim=True)
    for row in shown:
        click.echo(_row([tinted(cell, width) for cell, width in zip(row, widths, strict=True)], widths))


def tinted(word: str, width: int = 0) -> str:
    """Return a cell's text; a status in its colour."""
    tint = _TINTS.get(word)
    return click.style(word.ljust(width), fg=tint) if tint else word.ljust(width)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def as_json(document: Any) -> None:
    """Print a document as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def time_of(text: str) -> str:
    """Return a time in the local zone, with the date if it is not today's."""
    from datetime import datetime  # noqa: PLC0415 - `--help` is quick without it

    if not text:
        return "-"
    moment = datetime.fromisoformat(text).astimezone()
    today = datetime.now().astimezone().date() == moment.date()
    of_day = clock(int(moment.timestamp() * 1_000))[:8]
    return of_day if today else f"{moment.date()} {of_day}"


def took(ms: str) -> str:
    """Return a duration as text; `-` for none."""
    return span(int(ms)) if ms else "-"


def color() -> bool:
    """Return whether output is coloured."""
    return sys.stdout.isatty()
