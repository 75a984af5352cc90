"""Says so when a database file is read beside a server whose state is elsewhere."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Final

import click

from holdfast.server.config import Config

_PROBE_S: Final = 1.0


def warn_if_stale(config: Config, path: Path) -> None:
    """Warn on stderr if no server has the database open, but a dev server runs that keeps its state elsewhere."""
    if _is_there(path) and _free(path) and _dev_answers(config.port):
        click.echo(
            f"Warning: a dev server runs at http://localhost:{config.port}, and its state is not in {path}: "
            "this is an older database. Ask that server with `holdfast runs` and `holdfast events`, "
            "or start it with --persist.",
            err=True,
        )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # whoever reads it tells why that fails
        return False


def _free(path: Path) -> bool:
    from holdfast.server.store.sqlite import lock  # noqa: PLC0415 - `--help` is quick without it
    from holdfast.server.store.store import StoreError  # noqa: PLC0415 - as above

    try:
        lock.hold(path).close()
    except StoreError:
        return False
    return True


def _dev_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("localhost", port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/dev")
        answer = connection.getresponse()
        return answer.status == 200 and answer.getheader("x-inngest-server-kind") == "dev"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
