"""Which partition a run, a function or an event belongs to (docs/adr/0024). So far there is one."""

from __future__ import annotations

from holdfast.server.runtime.partition import Partition


class Router:
    """Finds partitions. Ask anew for each request: ownership may move between two of them."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    def of_run(self, run_id: str) -> Partition:  # noqa: ARG002 - one partition has all
        """Return the partition that a run lives in, by its id."""
        return self._partition

    def of_function(self, function_id: str) -> Partition:  # noqa: ARG002 - as above
        """Return the home of a function: its limits, its pause and its schedules are there."""
        return self._partition

    def of_signal(self, name: str) -> Partition:  # noqa: ARG002 - as above
        """Return the partition that knows who waits for a signal."""
        return self._partition

    def for_events(self) -> Partition:
        """Return the partition that stores events that this process takes."""
        return self._partition

    def every(self) -> list[Partition]:
        """Return all partitions: for questions and commands that are about no single run or function."""
        return [self._partition]
