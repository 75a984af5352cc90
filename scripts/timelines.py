"""Draws the timelines of docs/how-to/flow-control from the data below; with --check, fails if one is out of date.

A picture follows the reader's colour scheme. Times are seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parent.parent / "docs" / "how-to" / "flow-control" / "img"

WIDTH, LEFT, RIGHT, TOP, LANE = 760, 150, 24, 44, 34

STYLE = """\
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 } .small { font-size: 11px; fill: #656d76 }
    .axis { stroke: #d1d9e0 } .run { fill: #1f883d } .on { fill: #ffffff; font-size: 11px }
    .wait { fill: none; stroke: #9a6700; stroke-dasharray: 4 3 } .sleep { stroke: #8250df; stroke-dasharray: 2 4 }
    .event { fill: #0969da } .off { stroke: #cf222e; stroke-width: 2 } .line { stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d }
      .run { fill: #238636 } .wait { stroke: #d29922 } .sleep { stroke: #ab7df8 }
      .event { fill: #4493f8 } .off { stroke: #f85149 }
    }
  </style>"""


class Mark(NamedTuple):
    """Something in a lane: from a moment to another; `text` is written into a run, beside anything else."""

    kind: str
    start: float
    end: float = 0
    text: str = ""


def sent(at: float, text: str = "") -> Mark:
    return Mark("event", at, at, text)


def run(start: float, end: float, text: str = "") -> Mark:
    return Mark("run", start, end, text)


def wait(start: float, end: float) -> Mark:
    return Mark("wait", start, end)


def sleep(start: float, end: float) -> Mark:
    return Mark("sleep", start, end)


def off(at: float, text: str = "") -> Mark:
    return Mark("off", at, at, text)


Lanes = dict[str, list[Mark]]
LEGEND = {
    "event": "event", "run": "executing", "wait": "waiting", "sleep": "sleeping step", "off": "skipped or cancelled"
}  # fmt: skip

TIMELINES: dict[str, tuple[str, float, Lanes]] = {
    "concurrency": ("limit 1: one executes, the others wait in order; a sleep frees the place", 14, {
        "run A": [sent(0), run(0, 3, "step"), sleep(3, 8), wait(8, 9), run(9, 11, "step")],
        "run B": [sent(1), wait(1, 3), run(3, 6, "step")],
        "run C": [sent(2), wait(2, 6), run(6, 9, "step")],
    }),
    "throttle": ("limit 1 per 5 s: nothing is lost, starts are spread", 18, {
        "run A": [sent(0), run(0, 1)],
        "run B": [sent(0), wait(0, 5), run(5, 6)],
        "run C": [sent(0), wait(0, 10), run(10, 11)],
        "run D": [sent(8), wait(8, 15), run(15, 16)],
    }),
    "rate-limit": ("limit 5 per 10 s: one at once, then one every 2 s; the rest start nothing", 8, {
        "events": [sent(0), sent(0.5), sent(1), sent(2.2), sent(3), sent(4.6)],
        "runs": [run(0, 0.4), off(0.5), off(1), run(2.2, 2.6), off(3), run(4.6, 5)],
    }),
    "debounce": ("period 5 s, timeout 8 s: the last event runs, once it is quiet or time is up", 20, {
        "user 1": [sent(0, "1"), sent(2, "2"), wait(0, 7), run(7, 8.4, "event 2")],
        "user 2": [sent(0, "1"), sent(3, "2"), sent(6, "3"), wait(0, 8), run(8, 9.4, "event 3"), sent(11, "4"),
                   wait(11, 16), run(16, 17.4, "event 4")],
    }),
    "batching": ("size 3, timeout 5 s: full at once, the rest when time is up", 9, {
        "events": [sent(0, "1"), sent(0.5, "2"), sent(1, "3"), sent(1.5, "4"), sent(2, "5")],
        "batch 1": [wait(0, 1), run(1, 2, "1, 2, 3")],
        "batch 2": [wait(1.5, 6.5), run(6.5, 7.5, "4, 5")],
    }),
    "priority": ("limit 1: who waits is ordered by time minus priority", 14, {
        "A": [sent(0), run(0, 5)],
        "B (priority 0)": [sent(2), wait(2, 9), run(9, 13)],
        "C (priority 5)": [sent(4), wait(4, 5), run(5, 9)],
    }),
    "singleton": ("one run per key: mode skip, then mode cancel", 14, {
        "skip: A": [sent(0), run(0, 2), sleep(2, 5), run(5, 6)],
        "skip: B": [sent(3), off(3, "skipped: A holds the key")],
        "cancel: A": [sent(7), run(7, 8), sleep(8, 10), off(10, "cancelled by B")],
        "cancel: B": [sent(10), run(10, 13)],
    }),
    "cancellation": ("cancelOn: an event ends the runs it matches, wherever they stand", 12, {
        "order 1": [sent(0), run(0, 1), sleep(1, 6), off(6, "cancelled")],
        "order 2": [sent(0), run(0, 1), sleep(1, 10), run(10, 11)],
        "order.deleted": [sent(6, "id 1")],
    }),
    "timeouts": ("start 4 s, finish 5 s, limit 1: too late to start, too long to finish", 12, {
        "run A": [sent(0), run(0, 3, "a"), sleep(3, 5), off(5, "finish timeout")],
        "run B": [sent(0), wait(0, 3), run(3, 7, "a, b")],
        "run C": [sent(1), wait(1, 5), off(5, "start timeout")],
    }),
    "pause": ("paused from 2 to 8 s: what runs goes on, new runs wait (queue) or are skipped", 14, {
        "function": [Mark("off", 2, 2, "pause"), Mark("event", 8, 8, "resume")],
        "run A": [sent(0), run(0, 1.5), sleep(1.5, 4), run(4, 5.5)],
        "run B (queue)": [sent(3), wait(3, 8), run(8, 10)],
        "run B (skip)": [sent(3), off(3, "skipped")],
    }),
    "cron": ("hourly, the server is away from 1:30 to 4:30 (hours)", 7, {
        "ticks": [sent(n) for n in range(1, 7)],
        "latest": [run(1, 1.2), run(4.5, 4.7), run(5, 5.2), run(6, 6.2)],
        "none": [run(1, 1.2), run(5, 5.2), run(6, 6.2)],
        "all": [run(1, 1.2), run(4.5, 4.62), run(4.66, 4.78), run(4.82, 4.94), run(5, 5.2), run(6, 6.2)],
    }),
}  # fmt: skip


def main() -> int:
    stale: list[str] = []
    for name, (title, end, lanes) in TIMELINES.items():
        path, text = FOLDER / f"{name}.svg", "\n".join(draw(title, end, lanes)) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make format`")
    return 1 if stale else 0


def draw(title: str, end: float, lanes: Lanes) -> Iterator[str]:
    bottom = TOP + LANE * len(lanes)
    height = bottom + 62
    told = f"{title}. " + "; ".join(f"{name}: {spoken(marks)}" for name, marks in lanes.items())
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">'
    yield f"  <title>{escape(title)}</title>"
    yield f"  <desc>{escape(told)}</desc>"
    yield STYLE
    yield f'  <text class="title" x="8" y="22">{escape(title)}</text>'
    yield from axis(end, bottom)
    for index, (name, marks) in enumerate(lanes.items()):
        middle = TOP + LANE * index + LANE // 2
        yield f'  <text x="8" y="{middle + 4}">{escape(name)}</text>'
        for mark in sorted(marks, key=lambda mark: ORDER.index(mark.kind)):
            yield from SHAPES[mark.kind](mark, end, middle)
    yield from legend({mark.kind for marks in lanes.values() for mark in marks}, bottom + 48)
    yield "</svg>"


def spoken(marks: list[Mark]) -> str:
    """A lane in words, for those who can't see it."""
    return ", ".join(
        f"{LEGEND[m.kind]} {m.start:g}" + (f" to {m.end:g}" if m.end > m.start else "") for m in marks
    )  # fmt: skip


def x(at: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * at / end, 1)


def axis(end: float, bottom: int) -> Iterator[str]:
    step = 1 if end <= 12 else 2
    for second in range(0, int(end) + 1, step):
        at = x(second, end)
        yield f'  <line class="axis" x1="{at}" y1="{TOP - 6}" x2="{at}" y2="{bottom + 4}"/>'
        yield f'  <text class="small" x="{at}" y="{bottom + 18}" text-anchor="middle">{second}</text>'


def shape_run(mark: Mark, end: float, middle: int) -> Iterator[str]:
    left, right = x(mark.start, end), x(mark.end, end)
    yield f'  <rect class="run" x="{left}" y="{middle - 9}" width="{right - left:.1f}" height="18" rx="3"/>'
    if mark.text:
        center = (left + right) / 2
        yield f'  <text class="on" x="{center:.1f}" y="{middle + 4}" text-anchor="middle">{escape(mark.text)}</text>'


def shape_wait(mark: Mark, end: float, middle: int) -> Iterator[str]:
    left, right = x(mark.start, end), x(mark.end, end)
    yield f'  <rect class="wait" x="{left}" y="{middle - 8}" width="{right - left:.1f}" height="16" rx="3"/>'


def shape_sleep(mark: Mark, end: float, middle: int) -> Iterator[str]:
    ends = f'x1="{x(mark.start, end)}" y1="{middle}" x2="{x(mark.end, end)}" y2="{middle}"'
    yield f'  <line class="sleep line" {ends}/>'


def shape_event(mark: Mark, end: float, middle: int) -> Iterator[str]:
    at = x(mark.start, end)
    yield f'  <circle class="event" cx="{at}" cy="{middle}" r="5"/>'
    if mark.text:
        yield f'  <text class="small" x="{at + 8}" y="{middle + 4}">{escape(mark.text)}</text>'


def shape_off(mark: Mark, end: float, middle: int) -> Iterator[str]:
    at = x(mark.start, end)
    yield f'  <path class="off" d="M{at - 5} {middle - 5} l10 10 m0 -10 l-10 10"/>'
    if mark.text:
        yield f'  <text class="small" x="{at + 10}" y="{middle + 4}">{escape(mark.text)}</text>'


SHAPES = {"run": shape_run, "wait": shape_wait, "sleep": shape_sleep, "event": shape_event, "off": shape_off}
ORDER = ["wait", "sleep", "run", "event", "off"]


def legend(kinds: set[str], y: int) -> Iterator[str]:
    place = LEFT
    for kind, text in LEGEND.items():
        if kind in kinds:
            sample = Mark(kind, 0, 0.9)  # drawn on a scale of its own: 20 px to the unit
            scale = (WIDTH - LEFT - RIGHT) / 20
            shift = f'transform="translate({place - LEFT} 0)"'
            yield f"  <g {shift}>" + "".join(SHAPES[kind](sample, scale, y)).replace("  <", "<") + "</g>"
            yield f'  <text class="small" x="{place + 26}" y="{y + 4}">{text}</text>'
            place += 40 + 7 * len(text)


if __name__ == "__main__":
    sys.exit(main())
