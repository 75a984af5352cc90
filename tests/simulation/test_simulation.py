"""A thousand lives of a server. Each failure names the one command that shows it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from .world import World

SEEDS, CHUNK = 1_000, 50
#: Lives with workers; the last ones found defects once.
WORKERS = (*range(36), 92, 195, 200, 338)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seeds(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + CHUNK):
        try:
            World(seed, tmp_path).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it comes from this seed
            pytest.fail(f"{type(error).__name__}: {error}\n\nTo see it: python -m tests.simulation {seed}")


@pytest.mark.parametrize("part", range(4))
def test_seeds_with_workers(part: int, tmp_path: Path) -> None:
    """Calls go over the Connect driver: leases, acknowledgements, lost workers and double replies (`fleet.py`)."""
    for seed in WORKERS[part::4]:
        try:
            World(seed, tmp_path, workers=True).run()
        except Exception as error:  # noqa: BLE001 - as above
            pytest.fail(f"{type(error).__name__}: {error}\n\nTo see it: python -m tests.simulation {seed} --workers")


def test_a_seed_lives_the_same_life_twice(tmp_path: Path) -> None:
    lives: list[list[str]] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        log: list[str] = []
        World(7, tmp_path / name, log.append).run()
        lives.append(log)
    assert lives[0] == lives[1]
    assert len(lives[0]) > 10
