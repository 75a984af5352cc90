"""What a server says when it is up: what runs, where, and what to do next."""

from __future__ import annotations

import socket
import sys

import click
import structlog

from holdfast.server.app import Server
from holdfast.server.config import Config
from holdfast.server.config.config import DEFAULT_PORT
from holdfast.server.logs import as_json
from holdfast.server.store.postgres.settings import shown

log = structlog.get_logger(__name__)


def show(config: Config, port: int, server: Server) -> None:
    """Print the banner on stderr; one line where logs are JSON."""
    if as_json(config):
        urls = [url for _, url in _urls(config.host, port)]
        log.info("started", version=config.version, kind=config.kind, urls=urls, gateway_port=server.gateway.port,
                 state=_state(config, server), apps=_apps(config, server))  # fmt: skip
        for text in _open(config, color=False):
            log.warning(click.unstyle(text).split(maxsplit=1)[1])
        return
    color = sys.stderr.isatty()
    title = "dev server" if config.kind == "dev" else "server"
    lines = [
        "",
        click.style(f"  Holdfast {title}", bold=True) + f" {config.version}",
        "",
        *(f"  {label:<9} {url}" for label, url in _urls(config.host, port)),
        f"  {'Events':<9} POST {_urls(config.host, port)[0][1]}/e/{'<event key>' if config.event_keys else 'any-key'}",
        f"  {'Workers':<9} {_gateway(config, server)}",
        f"  {'State':<9} {_state(config, server)}",
        f"  {'Apps':<9} {_apps(config, server)}",
        f"  {'Inspect':<9} {_commands(port)}",
        *_open(config, color=color),
        "",
    ]
    for line in lines:
        click.echo(line if color else click.unstyle(line), err=True)


def _commands(port: int) -> str:
    """Return what to ask a running server with."""
    elsewhere = "" if port == DEFAULT_PORT else f" (with --port {port})"
    return f"holdfast runs, holdfast run ID, holdfast why ID, holdfast events, holdfast apps{elsewhere}"


def _open(config: Config, *, color: bool) -> list[str]:
    """Return a warning, if a server that asks nobody who they are can be reached from other machines."""
    if config.kind != "dev" or config.host in {"127.0.0.1", "::1", "localhost"}:
        return []
    text = (
        "other machines can reach this server without authentication; to listen on this machine only: --host 127.0.0.1"
    )
    return [click.style(f"  {'Warning':<9} {text}", fg="yellow" if color else None)]


def _gateway(config: Config, server: Server) -> str:
    host = config.gateway_host or config.host
    url = _urls(host, server.gateway.port)[0][1].replace("http", "ws", 1)
    return config.gateway_url or f"{url}/v0/connect"


def _urls(host: str, port: int) -> list[tuple[str, str]]:
    if host not in {"0.0.0.0", "::"}:  # noqa: S104
        return [("API", f"http://{host}:{port}")]
    return [("API", f"http://localhost:{port}"), *(("", f"http://{a}:{port}") for a in _addresses())]


def _addresses() -> list[str]:
    try:
        found = socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return []
    return [a for a in found if not a.startswith("127.")][:2]


def _state(config: Config, server: Server) -> str:
    live = server.partition.view.live
    resumed = f", {live:,} run{'' if live == 1 else 's'} resumed" if live else ""
    if config.postgres_uri:
        return f"{shown(config.postgres_uri)}, schema {config.postgres_schema}{resumed}"
    if config.database is None:
        return "ephemeral: gone when this process ends (keep it with --persist)"
    return f"{config.database}{resumed}"


def _apps(config: Config, server: Server) -> str:
    known = [a.name or a.url for a in server.apps.active()]
    looking = config.kind == "dev" and config.discovery and not known
    parts = [", ".join(known)] if known else []
    if looking:
        parts.append("looking for apps on this machine's usual ports (off with --no-discovery; name one with -u URL)")
    return "; ".join(parts) or "none yet: sync one with -u URL, or let it register itself"
