"""`holdfast worker`: run the functions of a client as a Connect worker, in one process or in several."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from holdfast.server.commands import die

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.connect.states import ConnectionState
    from holdfast.sdk.function import Function

    Apps = list[tuple[Inngest, list[Function[Any]]]]

#: Exit code of mistakes that another attempt would not mend.
USAGE: Final = 2


@click.command()
@click.argument("target", metavar="MODULE:CLIENT")
@click.option("--processes", type=click.IntRange(1, 256), default=1, show_default=True,
              help="Processes, each a worker: for functions that compute.")  # fmt: skip
@click.option("--concurrency", type=click.IntRange(min=1), help="Most calls at once of each process; else any number.")
@click.option("--instance-id", help="What the worker is called; else as the host. Processes get a number after it.")
@click.option("--member", is_flag=True, hidden=True)
def worker(target: str, processes: int, concurrency: int | None, instance_id: str | None, member: bool) -> None:
    """Run a client's functions as a worker that connects to the server.

    MODULE is imported from this folder; CLIENT is its client, whose functions are those that the module has, or a list
    of (client, functions). SIGTERM and Ctrl-C drain: calls under way end first; once more ends at once.
    """
    name = instance_id or socket.gethostname()
    if processes > 1:
        from holdfast.server.commands.worker_processes import run_all  # noqa: PLC0415 - for several processes only

        apps_of(target)  # mistakes are told once, not by each process
        limit = ["--concurrency", str(concurrency)] if concurrency else []
        sys.exit(run_all([target, *limit], [f"{name}-{number}" for number in range(1, processes + 1)]))
    if member:
        _end_with_parent()
    _run(apps_of(target), name, concurrency)


def apps_of(target: str) -> Apps:
    """Return what a target names. Ends the process with code 2 if that can't be run."""
    module_name, _, attribute = target.partition(":")
    module = _import(module_name)
    attribute = attribute or "client"
    target, found = f"{module_name}:{attribute}", getattr(module, attribute, None)
    if found is None:
        die(f"{module_name} has no {attribute!r}: name its client as MODULE:CLIENT", USAGE)
    if isinstance(found, list):
        return cast("Apps", found)
    return [(_client(found, target), _functions(module, found, target))]


def _import(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another
        die(f"there is no module {name} in {Path.cwd()} or among the installed ones", USAGE)


def _client(found: object, target: str) -> Inngest:
    from holdfast.sdk.client import Inngest  # noqa: PLC0415 - the other commands do without the SDK

    if not isinstance(found, Inngest):
        die(f"{target} is a {type(found).__name__}: it must be a client of Holdfast's SDK, or a list of apps", USAGE)
    return found


def _functions(module: ModuleType, client: Inngest, target: str) -> list[Function[Any]]:
    functions = [each for each in _members(module) if each.id == f"{client.app_id}-{each.local_id}"]
    if not functions:
        die(f"the module {module.__name__} has no functions of the client {target}: define or import them there", USAGE)
    return functions


def _members(module: ModuleType) -> Iterator[Function[Any]]:
    """Yield each function of a module once, those in its lists and tuples too."""
    from holdfast.sdk.function import Function  # noqa: PLC0415 - as above

    seen: set[int] = set()
    for value in vars(module).values():
        items: list[object] = list(cast("list[object]", value)) if isinstance(value, list | tuple) else [value]
        for item in items:
            if isinstance(item, Function) and id(cast("object", item)) not in seen:
                seen.add(id(cast("object", item)))
                yield item


def _run(apps: Apps, name: str, concurrency: int | None) -> None:
    from holdfast.connect import connect  # noqa: PLC0415 - as above
    from holdfast.sdk.connect.api import UnauthorizedError  # noqa: PLC0415 - as above
    from holdfast.sdk.connect.link import RefusedError  # noqa: PLC0415 - as above
    from holdfast.sdk.errors import Error  # noqa: PLC0415 - as above

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    def told(state: ConnectionState) -> None:
        click.echo(f"worker {name}: {state.value.lower()}", err=True)

    try:
        made = connect(
            apps, instance_id=name, max_worker_concurrency=concurrency, on_state_change=told,
            shutdown_signals=[signal.SIGTERM, signal.SIGINT],
        )  # fmt: skip
        for client, functions in apps:
            ids = ", ".join(function.local_id for function in functions)
            click.echo(f"worker {name}: {client.app_id} at {client.api_origin}, functions: {ids}", err=True)
        asyncio.run(made.start())
    except (Error, RefusedError, UnauthorizedError, ModuleNotFoundError) as error:
        die(str(error), USAGE)


def _end_with_parent() -> None:
    """Drain when the process that started this one is gone: then its end of the pipe is closed."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="holdfast-parent", daemon=True).start()
