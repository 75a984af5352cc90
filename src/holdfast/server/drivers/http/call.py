"""One request on its way, and the handle by which its caller can give it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from holdfast.server.drivers.http.answer import Answer
    from holdfast.server.drivers.http.connection import Connection
    from holdfast.server.drivers.http.failures import CallFailure
    from holdfast.server.drivers.http.target import Target

Outcome: TypeAlias = "Answer | CallFailure"
Done: TypeAlias = "Callable[[Answer | CallFailure], None]"
Heard: TypeAlias = "Callable[[int, dict[str, str], bytes], None]"


class Owner(Protocol):
    """Who started a call and hears what becomes of it."""

    def cancelled(self, call: Call) -> None:
        """Hear that the caller gave ``call`` up."""
        ...


class Call:
    """A request in flight.

    Attributes:
        method: HTTP method; changes when a redirect says so.
        target: Where it goes; changes with every redirect.
        headers: Rendered header lines, each ending in CRLF.
        body: Request body.
        limit: Largest answer body accepted, in bytes.
        done: Called exactly once with the outcome, unless the call is cancelled.
        connection: The connection it is on, if any.
        dialing: The Task that is making a connection for it, if any.
        hops: Redirects followed so far.
        heard: Told of each piece of a body as it arrives, still encoded: status, headers, piece. None as a rule.
        open: The outcome is still to come.

    """

    __slots__ = (
        "body",
        "connection",
        "dialing",
        "done",
        "headers",
        "heard",
        "hops",
        "limit",
        "method",
        "open",
        "owner",
        "target",
    )

    def __init__(
        self, owner: Owner, method: bytes, target: Target, headers: bytes, body: bytes, limit: int, done: Done
    ) -> None:
        self.owner = owner
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.limit = limit
        self.done = done
        self.connection: Connection | None = None
        self.dialing: asyncio.Task[Connection] | None = None
        self.hops = 0
        self.heard: Heard | None = None
        self.open = True

    def cancel(self) -> None:
        """Give the call up: its connection is closed and ``done`` is not called. Later calls do nothing."""
        self.owner.cancelled(self)
