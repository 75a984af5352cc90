"""What PostgreSQL's errors mean for who runs the server: what happened, where, and what to do about it.

A URI is shown without its password, whatever asyncpg says.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import asyncpg

from holdfast.server.store.postgres.settings import shown
from holdfast.server.store.store import DiskFullError, StoreError

FENCED: Final = "HF001"
"""What `commit` raises for a partition that somebody else has claimed."""

_MOMENT: Final = "a running server tries again by itself"
_GRANTS: Final = "it needs the schema with its tables and functions, and CREATE in the database for a first start"
_TLS: Final = "TLS failed: check sslmode, sslrootcert, sslcert and sslkey in the URI, and the server's own settings"
_FULL: Final = "the database's disk is full; free some space there, a running server recovers by itself"

#: By SQLSTATE, or the class of it.
_TEXTS: Final = {
    "28P01": "the password is wrong for this user",
    "28": "the server refuses this user: check the user's name, and pg_hba.conf on the server",
    "3D000": "there is no such database: create it with `CREATE DATABASE`, or name another one in the URI",
    "42501": f"the user has too few rights: {_GRANTS}",
    "53300": "it has no connection left: raise its max_connections, or lower --postgres-max-open-conns",
    "57P": f"it is shutting down or starting; {_MOMENT}",
    "25006": "it is read-only: name the primary in the URI, or all hosts with target_session_attrs=read-write",
    FENCED: "another Holdfast server has claimed what this one works on",
}


def fault(uri: str, error: BaseException) -> StoreError:
    """Return an error told with its database and what to do; DiskFullError if there is no room."""
    if isinstance(error, StoreError):
        return error
    where = f"can't use the PostgreSQL database {shown(uri)}"
    code = getattr(error, "sqlstate", None) or ""
    if code == "53100":
        return DiskFullError(f"{where}: {_FULL}")
    text, told = _meaning(error, code), str(error) or type(error).__name__
    return StoreError(f"{where}: {f'{text} ({told})' if text else told}")


def _meaning(error: BaseException, code: str) -> str:
    if "SSL" in str(error) and not code:
        return _TLS
    for length in (5, 3, 2):
        if code[:length] in _TEXTS and code:
            return _TEXTS[code[:length]]
    return next((text for kinds, text in _KINDS if isinstance(error, kinds)), "")


_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((socket.gaierror,), "its host can't be found: check its name in the URI"),
    ((ConnectionRefusedError,), f"nothing answers there: check host and port, and that it runs; {_MOMENT}"),
    ((TimeoutError, asyncio.TimeoutError), f"it does not answer in time; {_MOMENT}"),
    ((asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError), f"the connection broke; {_MOMENT}"),
)


ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a connection raises: of the server, of the client, of the network."""
