"""What a signal does to a server."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.server.serve.run import _Stopper
from holdfast.server.serve.systemd import Notifier


class Stand:
    """A server and its port, of which only the end counts; draining fails."""

    should_exit = False

    async def drain(self, _patience: float) -> None:
        raise RuntimeError("a defect")

    def closing(self) -> None:
        pass

    def stop(self) -> None:
        self.should_exit = True


def test_a_server_stops_even_if_it_can_not_drain() -> None:
    async def main() -> bool:
        stand: Any = Stand()
        stopper = _Stopper(stand, stand, Notifier({}), 1.0)
        stopper.signalled()
        assert stopper._draining is not None
        await asyncio.wait((stopper._draining,))
        assert stopper._draining.exception() is not None
        return bool(stand.should_exit)

    assert asyncio.run(main())
