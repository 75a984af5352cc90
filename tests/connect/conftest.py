from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .rig import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.server.config import Config

    from .rig import Rig


@pytest.fixture
def play() -> Callable[..., None]:
    """Plays an async scene with a running server."""
    import asyncio

    def played(scene: Callable[[Rig], Awaitable[None]], config: Config | None = None) -> None:
        async def main() -> None:
            async with running(config) as rig:
                await scene(rig)

        asyncio.run(main())

    return played
