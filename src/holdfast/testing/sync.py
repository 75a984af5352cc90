"""The test engine for tests that are plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from holdfast.testing.clock import Duration, VirtualClock
from holdfast.testing.engine import TestEngine
from holdfast.testing.run import Run

T = TypeVar("T")


class SyncTestEngine:
    """As `TestEngine`, without `await`: `with SyncTestEngine(fn) as t: run = t.send(event)`.

    It has an event loop of its own, which runs only while one of its methods does.
    """

    __test__ = False

    def __init__(
        self,
        *functions: object,
        client: object | None = None,
        steps: Mapping[str, object] | None = None,
        start: datetime | None = None,
        patience: float = 10.0,
        deterministic: bool = False,
    ) -> None:
        self.engine = TestEngine(
            *functions, client=client, steps=steps, start=start, patience=patience, deterministic=deterministic
        )
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Start the engine. Raises RuntimeError where an event loop runs: use `TestEngine` there."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._run(self.engine.__aenter__())
            return self
        raise RuntimeError("this test runs in an event loop: use `async with TestEngine(...)`")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the engine."""
        try:
            self._run(self.engine.__aexit__(kind, error, trace))
        finally:
            self._runner.close()

    @property
    def clock(self) -> VirtualClock:
        """The clock of the engine."""
        return self.engine.clock

    def send(self, event: object, data: Mapping[str, object] | None = None) -> Run:
        """Send an event that starts a run (`TestEngine.send`)."""
        return self._run(self.engine.send(event, data))

    def emit(self, event: object, data: Mapping[str, object] | None = None) -> list[Run]:
        """Send an event that may start no run (`TestEngine.emit`)."""
        return self._run(self.engine.emit(event, data))

    def invoke(self, function: object, data: Mapping[str, object] | None = None) -> Run:
        """Invoke a function (`TestEngine.invoke`)."""
        return self._run(self.engine.invoke(function, data))

    def advance(self, duration: Duration) -> None:
        """Let time pass (`TestEngine.advance`)."""
        self._run(self.engine.advance(duration))

    def finish(self, run: Run, within: Duration = "366d") -> Run:
        """Let a run end (`TestEngine.finish`)."""
        return self._run(self.engine.finish(run, within))

    def settle(self) -> None:
        """Wait until nothing more happens without time: after code of the test's own has sent events."""
        self._run(self.engine.settle())

    def check_determinism(self, run: Run) -> int:
        """Repeat a run's calls and compare (`TestEngine.check_determinism`)."""
        return self._run(self.engine.check_determinism(run))

    def mock(self, step: str, output: object) -> None:
        """Answer for a step (`TestEngine.mock`)."""
        self.engine.mock(step, output)

    @property
    def runs(self) -> list[Run]:
        """All runs."""
        return self.engine.runs

    def runs_of(self, function: object) -> list[Run]:
        """Return the runs of a function."""
        return self.engine.runs_of(function)

    @property
    def unused_steps(self) -> list[str]:
        """The ids of mocked steps that no run came to."""
        return self.engine.unused_steps

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
