"""The keys of a `start` that was given none, on this machine alone: made once, kept in its data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import click
import msgspec

from holdfast.server.config import Config

_FILE: Final = "keys.env"
_SIGNING, _EVENT = "INNGEST_SIGNING_KEY", "INNGEST_EVENT_KEY"


def with_local_keys(config: Config) -> Config:
    """Return the configuration with the keys of its folder, generated if there are none. Raises OSError."""
    path = config.directory / _FILE
    keys = read(config.directory)
    if not keys:
        keys = {_SIGNING: f"signkey-prod-{secrets.token_hex(32)}", _EVENT: secrets.token_hex(16)}
        _write(path, keys)
        _tell(path, keys, config.port)
    return msgspec.structs.replace(config, signing_key=keys[_SIGNING], event_keys=(keys[_EVENT],))


def read(folder: Path) -> dict[str, str]:
    """Return the keys of a folder by their variables; empty if it has none. Raises OSError."""
    try:
        lines = (folder / _FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: pairs[name].strip() for name in (_SIGNING, _EVENT)} if {_SIGNING, _EVENT} <= pairs.keys() else {}


def signing_key(folder: Path) -> str:
    """Return the signing key of a folder; empty if it has none, or this user may not read it."""
    try:
        return read(folder).get(_SIGNING, "")
    except OSError:
        return ""


def _write(path: Path, keys: dict[str, str]) -> None:
    from holdfast.server.store.sqlite.files import make_folder, open_private  # noqa: PLC0415 - most starts have keys

    make_folder(path.parent)
    with os.fdopen(open_private(path, os.O_TRUNC), "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in keys.items())


def _tell(path: Path, keys: dict[str, str], port: int) -> None:
    lines = [
        f"No keys were configured: generated a pair for this machine, stored in {path}.",
        "Put these lines into the environment of your apps:",
        "",
        *(f"  {name}={value}" for name, value in keys.items()),
        f"  INNGEST_BASE_URL=http://localhost:{port}",
        "  INNGEST_DEV=0",
        "",
    ]
    for line in lines:
        click.echo(line, err=True)
