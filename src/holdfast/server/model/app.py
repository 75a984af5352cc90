"""Apps and functions as synced."""

from __future__ import annotations

import msgspec


class AppRecord(msgspec.Struct, gc=False):
    """The row of an app. `method` is `serve`, `connect` or `api`."""

    id: str
    name: str
    url: str
    method: str = "serve"
    sdk_language: str = ""
    sdk_version: str = ""
    framework: str = ""
    app_version: str = ""
    checksum: str = ""
    error: str = ""
    created_at: int = 0
    archived_at: int | None = None
    discovered: bool = False


class FunctionRecord(msgspec.Struct, gc=False):
    """The row of a function. `config` is the stored form of `holdfast.protocol.functions`."""

    id: str
    app_id: str
    slug: str
    name: str
    version: int
    config: bytes
    created_at: int = 0
    archived_at: int | None = None
