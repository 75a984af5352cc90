"""Connections of workers and the versions of apps that they run, as they are kept. Times are ms since the epoch."""

from __future__ import annotations

import msgspec


class WorkerGroup(msgspec.Struct, frozen=True):
    """One version of an app that workers run. `since`: when the first of them connected; later is newer."""

    app_id: str
    hash: str
    since: int
    sync_id: str


class ConnectedApp(msgspec.Struct, frozen=True):
    """What a connection runs of one app. `functions` is their number."""

    id: str
    name: str
    version: str
    hash: str
    sync_id: str
    functions: int


class WorkerConnection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connection, open or of the past. `limit` is the most calls at once, 0 for any number."""

    id: str
    gateway_id: str
    instance_id: str
    connected_at: int
    heartbeat_at: int
    apps: tuple[ConnectedApp, ...]
    address: str = ""
    limit: int = 0
    sdk_language: str = ""
    sdk_version: str = ""
    platform: str = ""
    cpu_cores: int = 0
    memory_bytes: int = 0
    os: str = ""
    disconnected_at: int | None = None
    reason: str = ""
