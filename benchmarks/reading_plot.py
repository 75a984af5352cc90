"""The table and the picture of docs/explanation/reading-at-scale.md: `python -m benchmarks.reading_plot [FILE.json …]`.

The files are what `python -m benchmarks reading --out` wrote, one for each size of library; they are kept together in
`benchmarks/reading.json`. Without files, table and picture are made again from there.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).parent.parent / "docs" / "explanation"
PAGE = DOCS / "reading-at-scale.md"
PICTURE = DOCS / "img" / "reading.svg"
KEPT = Path(__file__).parent / "reading.json"

BAR_MS = 50.0
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 340, 56, 240, 40, 44

#: What a line stands for: the slowest p99 of the queries whose names start so. The first that fits takes a query.
KINDS = {
    "trace of 1,000 steps": ("trace of 1000 steps", "REST v2 trace of 1000 steps"),
    "trace of 10 steps": ("trace of 10",),
    "filtered page of runs": (
        "runs of", "runs, last", "runs:", "runs by end of", "runs that ended", "REST v2 runs of", "REST v2 runs, ",
    ),
    "page of runs": ("runs by", "REST v2 runs"),
    "page of events": ("events of", "events with", "events, internal", "REST events", "REST runs of"),
    "total": ("total", "events, total"),
}  # fmt: skip
COLOURS = ("#cf222e", "#9a6700", "#0969da", "#1f883d", "#8250df", "#656d76")
STYLE = """\
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 11px; fill: #656d76 }
    .title { font-weight: 600 } .axis { stroke: #d1d9e0 } .bar { stroke: #cf222e; stroke-dasharray: 5 4 }
    polyline { fill: none; stroke-width: 2 }
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } }
  </style>"""

Result = dict[str, Any]


def kind_of(query: str) -> str | None:
    """The line that a query belongs to; searches, which take a second by nature, to none."""
    if query == "events":
        return "page of events"
    for kind, starts in KINDS.items():
        if query.startswith(starts):
            return kind
    return None


def worst(result: Result) -> dict[str, float]:
    """The slowest p99 of each kind, in ms."""
    found: dict[str, float] = {}
    for query, values in result["queries"].items():
        if (kind := kind_of(query)) is not None:
            found[kind] = max(found.get(kind, 0.0), values["p99"])
    return found


def picture(results: list[Result]) -> str:
    """An SVG: p99 by kind of query, against how many runs are stored."""
    lines = [worst(result) for result in results]
    most = max(BAR_MS * 1.1, *(value for line in lines for value in line.values()))
    low, high = (math.log10(results[place]["runs"]) for place in (0, -1))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(runs: int) -> float:
        return LEFT + (math.log10(runs) - low) / ((high - low) or 1) * (right - LEFT)

    def y(ms: float) -> float:
        return bottom - ms / most * (bottom - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        STYLE,
        f'  <text class="title" x="{LEFT}" y="20">p99 of queries over HTTP, ms (of each kind the slowest query)</text>',
    ]
    for ms in range(0, int(most) + 1, 10):
        parts.append(f'  <line class="axis" x1="{LEFT}" y1="{y(ms):.1f}" x2="{right}" y2="{y(ms):.1f}"/>')
        parts.append(f'  <text class="small" x="{LEFT - 8}" y="{y(ms) + 4:.1f}" text-anchor="end">{ms}</text>')
    parts.append(f'  <line class="bar" x1="{LEFT}" y1="{y(BAR_MS):.1f}" x2="{right}" y2="{y(BAR_MS):.1f}"/>')
    for result in results:
        at = x(result["runs"])
        text = f"{result['runs']:,} runs"
        parts.append(f'  <text class="small" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
    places = _apart({kind: y(lines[-1][kind]) for kind in KINDS})
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        points = [(x(result["runs"]), y(line[kind])) for result, line in zip(results, lines, strict=True)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'  <polyline points="{path}" stroke="{colour}"/>')
        parts += [f'  <circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points]
        text = f"{escape(kind)}: {lines[-1][kind]:.0f}"
        parts.append(f'  <text x="{right + 12}" y="{places[kind] + 4:.1f}" style="fill: {colour}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _apart(places: dict[str, float], gap: float = 17) -> dict[str, float]:
    """Where to write what belongs to places, so that nothing overlaps: from the lowest up."""
    found: dict[str, float] = {}
    free = math.inf
    for name, place in sorted(places.items(), key=lambda item: -item[1]):
        found[name] = min(place, free)
        free = found[name] - gap
    return found


def table(results: list[Result]) -> str:
    """The table of all queries, then that of hops."""
    sizes = [f"{result['runs']:,} runs" for result in results]
    rows = [
        f"| query | {' | '.join(sizes)} | CPU |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for query, last in results[-1]["queries"].items():
        cells = [_cell(result["queries"][query]) for result in results]
        rows.append(f"| {query} | {' | '.join(cells)} | {last['cpu']:.1f} |")
    rows += ["", f"| steps | {' | '.join(sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for name in results[-1]["hops"]:
        rows.append(f"| {name} | {' | '.join(_cell(result['hops'][name], 2) for result in results)} |")
    return "\n".join(rows)


def _cell(values: dict[str, float], digits: int = 1) -> str:
    return f"{values['p50']:.{digits}f} / {values['p99']:.{digits}f}"


def main(files: list[str]) -> None:
    """Keep what was measured, if files are given; write the picture, and the page's tables between its marks."""
    if files:
        results = sorted((json.loads(Path(file).read_text()) for file in files), key=lambda result: result["runs"])
        KEPT.write_text(json.dumps(_rounded(results), indent=1) + "\n")
    results = json.loads(KEPT.read_text())
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(results))
    before, _, rest = PAGE.read_text().partition("<!-- measured -->\n")
    _, _, after = rest.partition("<!-- end -->")
    PAGE.write_text(f"{before}<!-- measured -->\n\n{table(results)}\n\n<!-- end -->{after}")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main(sys.argv[1:])
