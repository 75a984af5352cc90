"""The measured table of the README: `python -m benchmarks [--quick] [--readme] [--out FILE]`.

Starts the server as a process of its own (SQLite file, synchronous=FULL); load and app share this process. Timings are
medians of three rounds. Run it on a machine that does nothing else. `python -m benchmarks reading` measures reading,
`python -m benchmarks connect` calls to workers that dial in, `python -m benchmarks strangers` what clients without
credentials can cost the others, `python -m benchmarks beside` what a sender or an app can, `python -m benchmarks soak`
memory under a steady load, `python -m benchmarks ui` the web UI in Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import beside, connect, reading, soak, strangers
from benchmarks.bars import BARS, QUICK, Bench, Sizes


def _ui(arguments: Sequence[str]) -> None:
    from benchmarks import ui  # noqa: PLC0415 - Playwright is wanted by this one alone

    ui.main(arguments)


OWN = {
    "beside": beside.main, "connect": connect.main, "reading": reading.main, "soak": soak.main,
    "strangers": strangers.main, "ui": _ui,
}  # fmt: skip
"""Benchmarks of their own, by the name that `python -m benchmarks NAME` calls them by; each reads its arguments."""


def table(values: dict[str, float]) -> str:
    """Markdown: bar, measured, met."""
    lines = ["| bar | measured | met |", "|---|---|---|"]
    for key, bar in BARS.items():
        if key not in values:
            continue
        sign = "≥" if bar.at_least else "≤"
        wanted = f"{sign} {bar.limit:,g} {bar.unit}" if bar.limit is not None else ""
        verdict = {True: "yes", False: "**no**", None: ""}[bar.met(values[key])]
        measured = f"{values[key]:,.{bar.digits}f} {bar.unit}"
        lines.append(f"| {bar.name}{': ' + wanted if wanted else ''} | {measured} | {verdict} |")
    return "\n".join(lines)


def write_readme(measured: str) -> None:
    """Puts the table between its marks."""
    readme = Path(__file__).parent.parent / "README.md"
    before, _, rest = readme.read_text().partition("<!-- measured:begin")
    mark, _, rest = rest.partition("-->")
    after = rest.partition("<!-- measured:end -->")[2]
    machine = f"{os.cpu_count()} cores, CPython {platform.python_version()}"
    what = f"Measured on {_today()}, commit `{_commit()}`, {machine}, load and app on the same machine:"
    text = f"{before}<!-- measured:begin{mark}-->\n{what}\n\n{measured}\n<!-- measured:end -->{after}"
    readme.write_text(text)


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    own = OWN.get("".join(sys.argv[1:2]))
    if own is not None:
        own(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything, within two minutes (no memory of parked runs)"
    )
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    values = _run(Bench(QUICK if options.quick else Sizes()))
    asyncio.run(connect.measure(values, quick=options.quick))
    _beside_others(values, quick=options.quick)
    print(table(values))
    if options.readme:
        write_readme(table(values))
    if options.out:
        machine = {"python": sys.version.split()[0], "machine": platform.machine(), "system": platform.platform()}
        bars = {
            key: {
                "name": bar.name,
                "unit": bar.unit,
                "bar": bar.limit,
                "measured": values[key],
                "met": bar.met(values[key]),
            }
            for key, bar in BARS.items()
            if key in values
        }
        options.out.write_text(json.dumps({"machine": machine, "bars": bars}, indent=1) + "\n")


def _run(bench: Bench) -> dict[str, float]:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.run(bench.run())
    return uvloop.run(bench.run())


def _beside_others(values: dict[str, float], *, quick: bool) -> None:
    """What one sender, app or stranger costs everybody else; into `values`, where each is shown at once."""
    turns = list[float]()
    for kind in ("dear", "fan", "plan"):
        seen = asyncio.run(beside.beside(kind, 3.0 if quick else 15.0))
        values[f"beside_{kind}"] = max(seen.health, seen.hop)
        turns.append(seen.turn)
    values["beside_turn"] = max(turns)
    _, idle, large = strangers.measure(strangers.QUICK if quick else strangers.Sizes())
    values["strangers_idle"] = max(idle.health_ms, idle.hop_ms)
    values["strangers_large"] = max(large.health_ms, large.hop_ms)
    values["strangers_rss"] = max(idle.more_mib, large.more_mib)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
