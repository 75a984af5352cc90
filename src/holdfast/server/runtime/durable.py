"""Durable commits that don't hold up the loop: slow syncs leave the thread, checkpoints leave the commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import structlog

from holdfast.server.engine.changes import Changes
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import Store, Write

log = structlog.get_logger(__name__)

#: A disk whose median commit takes longer than this (seconds) syncs on another thread.
SLOW_COMMIT_S = 0.002
SAMPLE = 50


class Durable:
    """Commits to a store, watches how long that takes, and moves the write-ahead log on in the background."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sqlite = store if isinstance(store, SqliteStore) else None
        self._times: deque[float] = deque(maxlen=SAMPLE)
        self._checkpointing: threading.Thread | None = None
        self.commits = 0
        """How many there were: a plain number that tells a busy store from an idle one."""

    @property
    def deferred(self) -> bool:
        """Whether the caller must call `store.sync` off the loop before it acts."""
        return self._sqlite is not None and self._sqlite.durability == "deferred"

    @property
    def commit_s(self) -> float:
        """What the last COMMIT took, in seconds, without its statements."""
        return self._sqlite.commit_s if self._sqlite is not None else 0.0

    @property
    def wal_pages(self) -> int:
        """How large the write-ahead log is, in pages."""
        return self._sqlite.wal_pages() if self._sqlite is not None else 0

    @property
    def checkpointing(self) -> bool:
        """Whether the write-ahead log is being moved into the database."""
        return self._checkpointing is not None

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> None:
        """Commits a turn's rows."""
        self._store.commit(changes, writes)
        self.commits += 1
        if self._sqlite is not None:
            self._observe(self._sqlite)

    @property
    def unfinished(self) -> bool:
        """Whether the caller must call `finish_checkpoint` off the loop, before the next commit."""
        return self._checkpointing is not None and not self._checkpointing.is_alive()

    def finish_checkpoint(self) -> None:
        """Moves the end of the log, while nothing is written: only one that was moved as a whole starts over."""
        if self._sqlite is not None:
            self._sqlite.checkpoint()
        self._checkpointing = None

    def close(self) -> None:
        """Waits for a checkpoint under way."""
        if self._checkpointing is not None:
            self._checkpointing.join(timeout=5)

    def _observe(self, store: SqliteStore) -> None:
        if store.durability == "full":
            self._times.append(store.commit_s)
            if self.commits % SAMPLE == 0 and sorted(self._times)[SAMPLE // 2] > SLOW_COMMIT_S:
                log.info(
                    "disk syncs are slow; moving them to a thread",
                    median_ms=round(sorted(self._times)[SAMPLE // 2] * 1e3, 2),
                )
                store.set_durability("deferred")
        if self.commits % 64 == 0:
            self._checkpoint(store)

    def tidy(self) -> None:
        """Moves the log on after rows were written beside the turns."""
        if self._sqlite is not None:
            self._checkpoint(self._sqlite)

    def _checkpoint(self, store: SqliteStore) -> None:
        """A thread moves nearly all of the log; what was written meanwhile is left to `finish_checkpoint`."""
        if self._checkpointing is None and store.wal_pages() > store.CHECKPOINT_PAGES:
            self._checkpointing = threading.Thread(target=store.checkpoint, name="checkpoint", daemon=True)
            self._checkpointing.start()
