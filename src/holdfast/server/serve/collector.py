"""When Python looks for garbage: each look holds up all threads, and nearly nothing that a server makes has cycles."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

#: As many new objects as are kept before the collector looks at them (a few ms).
COLLECT_AFTER: Final = 5_000
#: As many looks at new objects are followed by one at what these left over, so that no look is at more than 10,000.
YOUNG_LOOKS: Final = 1
#: How often the process is asked whether it rests (seconds), and the share of a core below which it does.
ASK_S: Final = 5.0
_AT_REST: Final = 0.05
#: As many looks at what was left over are worth a look at all objects, which takes 0.2 s for a million of them.
WORTH: Final = 30
#: A server that never rests does that once in so long (seconds).
LONGEST_S: Final = 3_600.0
_NEVER: Final = 1_000_000


def settle() -> None:
    """Tell the collector that what is here stays, to look at new objects less often, and at all of them not at all.

    A trace of a thousand spans is many objects and no garbage: with the default of 700 it would be looked at time and
    again. Looking at all objects is up to `collect_at_rest`.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, YOUNG_LOOKS, _NEVER)


async def collect_at_rest(ask_s: float = ASK_S) -> None:
    """Look at all objects while nobody waits for anything, again and again until cancelled."""
    last = time.monotonic()
    while True:
        used = time.process_time()
        await asyncio.sleep(ask_s)
        resting = time.process_time() - used < _AT_REST * ask_s
        if gc.get_count()[2] >= WORTH and (resting or time.monotonic() - last > LONGEST_S):
            gc.collect()
            last = time.monotonic()
