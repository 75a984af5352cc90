"""`holdfast healthcheck`: asks a running server how it is, for containers and load balancers."""

from __future__ import annotations

import http.client
from typing import NoReturn

import click

from holdfast.server.commands import die, with_options
from holdfast.server.config.sources import Settings

_PATHS = ("/health", "/ready")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - what a server listens on


@click.command()
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=5.0, help="Seconds for each probe.")
@click.option("--live", is_flag=True, help="Check only that the server is alive, not that it is ready.")
@with_options("host", "port", "verbose")
def healthcheck(settings: Settings, timeout: float, live: bool) -> None:
    """Probe /health and /ready of a server on this machine.

    Exits with code 1 if one of them fails. Host and port come from the server's own configuration.
    """
    config = settings.config()
    host = _EVERYWHERE.get(config.host, config.host)
    for path in _PATHS[:1] if live else _PATHS:
        status, body = _get(host, config.port, path, timeout)
        if config.verbose or status != 200:
            click.echo(f"{path} {status} {body}".strip(), err=status != 200)
        if status != 200:
            die(f"{path} answered {status}")


def _get(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1_000).decode(errors="replace").strip()
    except TimeoutError:
        _fail(host, port, path, f"no answer within {timeout:g} s")
    except (OSError, http.client.HTTPException) as error:
        _fail(host, port, path, str(getattr(error, "strerror", None) or error or type(error).__name__))
    finally:
        connection.close()


def _fail(host: str, port: int, path: str, why: str) -> NoReturn:
    die(f"http://{host}:{port}{path}: {why}")
