"""How a server reaches its database."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

#: How long a process owns its partitions without being heard of, and how often it makes itself heard (s).
LEASE_S: Final = 5.0
BEAT_S: Final = 1.0


class Settings(msgspec.Struct, frozen=True):
    """Where the database is, and bounds on what is asked of it."""

    uri: str
    schema: str = "holdfast"
    most: int = 16  # connections at once
    idle_s: float = 300.0  # how long one may be idle
    connect_s: float = 10.0
    commit_s: float = 30.0  # a commit that takes longer has failed
    read_s: float = 10.0
    recover_s: float = 300.0
    partition: int = 0


def shown(uri: str) -> str:
    """Return a URI as it may be shown: hosts and database, neither user's password nor options."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(a URI that can't be read)"
    user, at, hosts = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{hosts}{parts.path}"
