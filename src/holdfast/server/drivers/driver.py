"""The driver protocol: how a call reaches user code. The dispatcher knows no transport, only this.

A driver is chosen by the scheme of the function's URL. HTTP is one implementation (`drivers.http.driver`), Connect,
where workers dial in, another (`server.connect`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from holdfast.protocol.calls import CallContext
from holdfast.protocol.responses import Outcome


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The HTTP request that began a durable endpoint's run, and is made again to continue it."""

    method: str
    url: str
    content_type: str
    body: bytes


class Request(msgspec.Struct, gc=False):
    """One call of user code. `body` is the JSON of `protocol.calls`; empty when there is an `origin`."""

    context: CallContext
    app_id: str
    slug: str
    url: str
    body: bytes
    origin: Origin | None = None
    exact: bool = False  # the app takes a body that is not canonical with the signature of its canonical form

    @property
    def work(self) -> Work:
        """What the call is about."""
        context = self.context
        return Work(context.run_id, context.item, context.job_id, context.attempt)


class Work(msgspec.Struct, frozen=True, gc=False):
    """What a call is about: two calls of the same attempt of the same job are the same work."""

    run_id: str
    item: str
    job_id: str
    attempt: int


class Late(msgspec.Struct, frozen=True, gc=False):
    """An outcome of a call that its driver does not know (any more), such as one made before a restart.

    `app_ids` are the apps that its sender speaks for; None: all.
    """

    work: Work
    app_ids: frozenset[str] | None
    outcome: Outcome


Done: TypeAlias = Callable[[Outcome | None], None]
"""Takes what came of a call. None: nobody has started on it and nobody will, it must be made again."""


class Driver(Protocol):
    """A way to call user code. Used on the event loop's thread."""

    def call(self, request: Request, done: Done) -> None:
        """Start a call, which ends after `limits.CALL_TIMEOUT_S` at the latest.

        `done` is called exactly once, never from within this method, unless the driver is closed before. Raises if the
        call can't be made, and does not call `done` then.
        """
        ...

    def abandon(self, run_id: str) -> None:
        """Stop the calls of a run that has ended, as far as the transport can. `done` may still be called."""
        ...

    def forget(self) -> None:
        """Expect all calls to be made again: the engine was reloaded, their outcomes no longer count."""
        ...

    async def close(self) -> None:
        """Drop all calls and free what the driver holds."""
        ...
