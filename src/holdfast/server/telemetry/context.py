"""The trace that a sender of events was in (`protocol/http-apis.md` §2.4): kept with them, continued by their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.tracing import read_context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.protocol.events import Event
    from holdfast.server.runtime.partition import Partition


def keep_trace(partition: Partition, events: Sequence[Event], parent: str, header: Callable[[bytes], str]) -> None:
    """Puts the trace of a request that sends events into these, before the engine gets them.

    It is stored beside them, for those that start a run only after a restart. `parent` is the `traceparent` header,
    `header` reads others. One that is malformed is as none.
    """
    context = read_context(parent, header)
    if context is None:
        return
    for event in events:
        event.trace = context
    partition.records.add_event_traces([event.id for event in events], msgspec.json.encode(context))
