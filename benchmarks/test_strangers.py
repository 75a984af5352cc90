"""The stranger's budget, in brief: hundreds of connections of every kind (`python -m benchmarks strangers`: thousands).

Memory is bounded as in the whole; times leave room for machines that do other things as well.
"""

from __future__ import annotations

from benchmarks.strangers import MAX_MIB, MAX_MS, QUICK, measure


def test_strangers_cost_the_others_little() -> None:
    alone, *others = measure(QUICK)
    for scene in others:
        assert scene.more_mib <= MAX_MIB, scene
        assert scene.health_ms <= 10 * MAX_MS + alone.health_ms, scene
        assert scene.hop_ms <= 10 * MAX_MS + alone.hop_ms, scene
