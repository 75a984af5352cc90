"""`python -m tests.simulation SEED [--count N]`: lives through one seed aloud, or through N from there on quietly."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .world import World


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def live(seed: int, *, aloud: bool, workers: bool = False) -> World:
    with tempfile.TemporaryDirectory() as folder:
        world = World(seed, Path(folder), say if aloud else None, workers=workers)
        if aloud:
            for program in world.programs.values():
                say(str(program))
        try:
            world.run()
        except Exception:
            sys.stderr.write(f"seed {seed} failed: python -m tests.simulation {seed}\n")
            raise
        return world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--workers", action="store_true", help="calls go to workers over the Connect driver")
    given = parser.parse_args()
    began = time.perf_counter()
    seeds = range(given.seed, given.seed + given.count)
    turns = sum(live(seed, aloud=given.count == 1, workers=given.workers).turns for seed in seeds)
    say(f"{given.count} seeds, {turns} turns, {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
