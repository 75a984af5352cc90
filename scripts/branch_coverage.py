"""Says which share of the branches of some packages the last test run took, and fails below a bar.

coverage's own `fail_under` mixes lines with branches; the bar of this project is about branches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import coverage


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="+", help="folders such as holdfast/protocol")
    parser.add_argument("--at-least", type=float, default=0, help="percent of the branches, for each package")
    options = parser.parse_args()
    branches = measured()
    reached = [report(package, branches, options.at_least) for package in options.packages]
    return int(not all(reached))


def measured() -> dict[str, tuple[int, int]]:
    """Branches taken and branches there, by file."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        data = coverage.Coverage()
        data.load()
        data.json_report(outfile=file.name)
        files = json.loads(Path(file.name).read_bytes())["files"]
    summaries = {path: entry["summary"] for path, entry in files.items()}
    return {path: (s["covered_branches"], s["num_branches"]) for path, s in summaries.items()}


def report(package: str, branches: dict[str, tuple[int, int]], bar: float) -> bool:
    """Prints a package's share and its weakest modules; True if the share reaches the bar."""
    mine = {path.rpartition(f"{package}/")[2]: n for path, n in branches.items() if f"/{package}/" in path}
    taken, there = sum(n[0] for n in mine.values()), sum(n[1] for n in mine.values())
    share = 100 * taken / there if there else 0.0
    gaps = sorted(((n[1] - n[0], path) for path, n in mine.items() if n[0] < n[1]), reverse=True)
    print(f"{package}: {taken} of {there} branches taken, {share:.1f} % (bar: {bar:g} %)")
    for missing, path in gaps[:10]:
        print(f"  {missing:4} not taken in {path}")
    return share >= bar


if __name__ == "__main__":
    sys.exit(main())
