"""A bulk cancellation (`protocol/flow-control.md` §5.6): which runs of a function it ends."""

from __future__ import annotations

import msgspec


class BulkCancellation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Cancels a function's runs of a window (ms, both ends included), whose first event satisfies `condition`."""

    id: str
    created_at: int
    app_id: str
    function_id: str
    slug: str
    after: int | None  # started_after; None: since ever
    before: int  # started_before
    condition: str = ""
    swept: bool = False  # all runs that were alive have been looked at

    def covers(self, function_id: str, scheduled_at: int) -> bool:
        """Return whether a run is of the function, and of the window."""
        return (
            function_id == self.function_id
            and scheduled_at <= self.before
            and (self.after is None or scheduled_at >= self.after)
        )
