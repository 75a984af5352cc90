"""Connections of the past, and since when each version of an app is known: both outlive the server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from holdfast.server.connect.roster import Group, Worker
from holdfast.server.model.worker import ConnectedApp, WorkerConnection, WorkerGroup
from holdfast.server.store.records import WorkerRecords

log = structlog.get_logger(__name__)

#: Connections of the past that are kept.
PAST: Final = 1_000
#: Milliseconds that workers have to come back after a restart, before the age of their version is forgotten.
RETURN_MS: Final = 3_600_000


class History:
    """What is remembered of workers.

    A version of an app is as new as its first connection. Its age is kept until its last worker leaves; while the
    server is away workers have not left, and a version that comes back is as old as it was.
    """

    def __init__(self, records: WorkerRecords, gateway_id: str, clock: Callable[[], int]) -> None:
        self._records = records
        self._gateway_id = gateway_id
        self._clock = clock
        self._awaited: dict[tuple[str, str], WorkerGroup] = {}  # by app and hash: not back since the start
        self._await_until = 0
        self.past: deque[WorkerConnection] = deque()
        """Connections that ended, in the order of their ids, then of their ends."""

    def load(self) -> None:
        """Read what was kept, at a start: whoever was connected is not any more."""
        now = self._clock()
        for connection in self._records.worker_connections():
            if connection.disconnected_at is None:
                self._end(connection, now, "UNEXPECTED")
            else:
                self._keep(connection)
        self._awaited = {(group.app_id, group.hash): group for group in self._records.worker_groups()}
        self._await_until = now + RETURN_MS

    # --- connections --------------------------------------------------------------------------------------------------

    def opened(self, worker: Worker) -> None:
        """Keep a connection, so that it is known if the server is killed."""
        self._records.put_worker_connection(self.describe(worker))

    def closed(self, worker: Worker, at: int, reason: str) -> None:
        """Keep how a connection ended."""
        self._end(self.describe(worker), at, reason)

    def describe(self, worker: Worker) -> WorkerConnection:
        """Return what is kept of an open connection."""
        about = worker.about
        apps = tuple(
            ConnectedApp(g.app_id, g.app_name, g.app_version, g.hash, g.sync_id, len(g.slugs))
            for g in worker.groups.values()
        )
        return WorkerConnection(
            worker.id, self._gateway_id, worker.instance.id, worker.since, worker.heartbeat_at, apps, worker.address,
            worker.limit, about.sdk_language, about.sdk_version, about.platform, about.cpu_cores, about.memory_bytes,
            about.os,
        )  # fmt: skip

    def _end(self, connection: WorkerConnection, at: int, reason: str) -> None:
        ended = replace(connection, disconnected_at=at, reason=reason)
        self._records.put_worker_connection(ended)
        self._keep(ended)

    def _keep(self, connection: WorkerConnection) -> None:
        self.past.append(connection)
        while len(self.past) > PAST:
            self._records.drop_worker_connections([self.past.popleft().id])

    # --- versions -----------------------------------------------------------------------------------------------------

    def awaited(self, app_id: str, hash: str) -> WorkerGroup | None:
        """Return a version that was connected when the server ended, and is not back yet."""
        return self._awaited.get((app_id, hash))

    def arrived(self, group: Group) -> None:
        """Keep since when a version is known."""
        if self._awaited.pop((group.app_id, group.hash), None) is None:
            self._records.put_worker_group(WorkerGroup(group.app_id, group.hash, group.since, group.sync_id))

    def left(self, group: Group) -> None:
        """Forget a version whose last worker left: when it comes back, it is the newest."""
        self._records.drop_worker_group(group.app_id, group.hash)

    def tidy(self) -> None:
        """Forget versions that did not come back after the start, once they had their time."""
        if self._awaited and self._clock() > self._await_until:
            for app_id, hash in self._awaited:
                self._records.drop_worker_group(app_id, hash)
            self._awaited.clear()
