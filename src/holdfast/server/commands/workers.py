"""`holdfast workers`: which workers are connected to a running server."""

from __future__ import annotations

from typing import Any, Final

import click

from holdfast.server.commands.asking import Server, asking
from holdfast.server.commands.tables import as_json, table

_STATUSES: Final[tuple[str, ...]] = ("connected", "ready", "draining", "disconnecting", "disconnected")


@click.command()
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@asking
def workers(server: Server, json: bool) -> None:
    """List connected workers: their apps, their calls in flight and their capacity."""
    found = server.list("/v0/connect/envs/dev/conns")
    if json:
        as_json(found)
    elif not found:
        click.echo("No worker is connected. Start one with the connect() of your SDK: see docs/how-to/connect.md.")
    else:
        table(("WORKER", "STATUS", "CALLS", "APPS", "SDK", "ADDRESS"), [_row(worker) for worker in found])


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    calls = str(worker.get("calls", 0))
    limit = worker.get("max_worker_concurrency")
    sdk = f"{worker.get('sdk_language', '')} {str(worker.get('sdk_version', '')).removeprefix('v')}".strip()
    status = _STATUSES[int(worker.get("status", 0))]
    apps = ", ".join(map(str, worker.get("all_worker_groups", {})))
    taken = f"{calls} of {limit}" if limit else calls
    return (str(worker["instance_id"]), status, taken, apps, sdk, str(worker.get("address", "")))
