"""The collector of a server: what is there at its start stays, and what comes is looked at less often."""

from __future__ import annotations

import gc

from holdfast.server.serve.run import COLLECT_AFTER, settle


def test_a_server_looks_for_garbage_less_often_and_not_at_what_it_started_with() -> None:
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
