"""The command line: `holdfast dev`, `holdfast start`, `holdfast version`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import click

from holdfast import __version__
from holdfast.server.config import DEFAULT_DIR, DEFAULT_GATEWAY_PORT, DEFAULT_PORT, Config

#: Seconds that a stopping server gives its clients.
GRACE_S = 3


def _env(name: str) -> list[str]:
    return [f"HOLDFAST_{name}", f"INNGEST_{name}"]


class _CommaList(click.ParamType[list[str]]):
    """Several values: the option repeated, or one text with commas (environment)."""

    name = "text"
    envvar_list_splitter = ","

    def split_envvar_value(self, rv: str) -> list[str]:
        return [part.strip() for part in rv.split(",") if part.strip()]

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        return value


def _common(command: click.decorators.FC) -> click.decorators.FC:
    options = [
        click.option("--host", envvar=_env("HOST"), default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104
        click.option("--port", "-p", envvar=_env("PORT"), type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="Port of the API."),
        click.option("--sdk-url", "-u", envvar=_env("SDK_URL"), type=_CommaList(), multiple=True, help="URL of an app to sync (repeatable)."),
        click.option("--poll-interval", envvar=_env("POLL_INTERVAL"), type=click.IntRange(0), default=5, show_default=True, help="Seconds between pings of apps."),
        click.option("--retry-interval", envvar=_env("RETRY_INTERVAL"), type=click.IntRange(0), default=0, help="Seconds between retries, instead of the back-off table."),
        click.option("--queue-workers", envvar=_env("QUEUE_WORKERS"), type=click.IntRange(1), default=100, show_default=True, help="Calls to apps in flight at once."),
        click.option("--tick", envvar=_env("TICK"), type=click.IntRange(1), default=150, help="Accepted for compatibility; nothing is polled here."),
        click.option("--connect-gateway-port", envvar=_env("CONNECT_GATEWAY_PORT"), type=click.IntRange(0, 65535), default=DEFAULT_GATEWAY_PORT, help="Port of the Connect gateway."),
        click.option("--sqlite-dir", envvar=_env("SQLITE_DIR"), type=click.Path(path_type=Path), default=Path(DEFAULT_DIR), show_default=True, help="Folder of the database file."),
        click.option("--log-level", "-l", envvar=["LOG_LEVEL", *_env("LOG_LEVEL")], type=click.Choice(["trace", "debug", "info", "warn", "error"]), default="info", show_default=True),
        click.option("--verbose", "-v", is_flag=True, help="Log everything."),
        click.option("--json", "json_logs", is_flag=True, help="Log JSON lines (the default when stdout is no terminal)."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="holdfast")
def main() -> None:
    """Durable functions for Python, wire-compatible with Inngest."""


@main.command()
@_common
@click.option("--no-discovery", envvar=_env("NO_DISCOVERY"), is_flag=True, help="Don't look for apps on this machine.")
@click.option("--no-poll", envvar=_env("NO_POLL"), is_flag=True, help="Don't ping healthy apps again.")
@click.option("--persist", envvar=_env("PERSIST"), is_flag=True, help="Keep the database between starts.")
def dev(no_discovery: bool, no_poll: bool, persist: bool, **options: object) -> None:
    """Run the dev server: no keys, apps are found by themselves, state is gone at the end unless --persist."""
    _run(Config(kind="dev", discovery=not no_discovery, poll=not no_poll, persist=persist, **_settings(options)), options)  # type: ignore[arg-type]


@main.command()
@_common
@click.option("--signing-key", envvar=_env("SIGNING_KEY"), default="", help="Key that signs calls and guards the API (required; hex).")
@click.option("--event-key", envvar=_env("EVENT_KEY"), type=_CommaList(), multiple=True, help="Key for sending events (required, repeatable).")
@click.option("--no-ui", envvar=_env("NO_UI"), is_flag=True, help="No UI and no GraphQL.")
def start(signing_key: str, event_key: tuple[str, ...], no_ui: bool, **options: object) -> None:
    """Run the self-hosted server: keys required, everything durable in a SQLite file."""
    from holdfast.protocol.signing import check_signing_key

    try:
        check_signing_key(signing_key)
    except ValueError as error:
        _die(str(error))
    keys = tuple(k.strip() for text in event_key for k in text.split(",") if k.strip())
    if not keys:
        _die("at least one event-key is required")
    config = Config(
        kind="cloud", persist=True, discovery=False, poll=False, signing_key=signing_key, event_keys=keys, ui=not no_ui,
        **_settings(options),  # type: ignore[arg-type]
    )  # fmt: skip
    _run(config, options)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _settings(options: dict[str, object]) -> dict[str, object]:
    urls = options["sdk_url"]
    assert isinstance(urls, tuple)
    return {
        "host": options["host"],
        "port": options["port"],
        "sdk_urls": tuple(u.strip() for text in urls for u in text.split(",") if u.strip()),
        "poll_interval": float(str(options["poll_interval"])) or 5.0,
        "retry_interval": options["retry_interval"],
        "workers": options["queue_workers"],
        "tick": options["tick"],
        "directory": options["sqlite_dir"],
        "gateway_port": options["connect_gateway_port"],
        "test_mode": os.environ.get("TEST_MODE") == "true",
    }


def _die(text: str) -> None:
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)


def _run(config: Config, options: dict[str, object]) -> None:
    from holdfast.server.logs import set_up
    from holdfast.server.store.store import SchemaError

    level = "debug" if options["verbose"] else str(options["log_level"])
    set_up(level, as_json=bool(options["json_logs"]) or not sys.stdout.isatty())
    listener = _listen(config)
    try:
        _loop(_serve(config, listener))
    except SchemaError as error:
        _die(str(error))


def _listen(config: Config) -> socket.socket:
    """Takes the port, or the next free one in `dev`; says plainly whose fault it is if it can't."""
    for port in range(config.port, config.port + (100 if config.kind == "dev" and config.port else 1)):
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, port))
        except OSError as error:
            listener.close()
            if error.errno == 98 and config.kind == "dev":
                click.echo(f"Port {port} is in use, trying {port + 1}", err=True)
                continue
            _die(f"can't listen on {config.host}:{port}: {error.strerror}. Choose another port with --port")
        listener.listen(2048)
        listener.setblocking(False)
        return listener
    _die(f"no free port from {config.port} on; choose one with --port")
    raise AssertionError


def _loop(main_coroutine) -> None:  # type: ignore[no-untyped-def]
    try:
        import uvloop
    except ImportError:
        asyncio.run(main_coroutine)
    else:
        uvloop.run(main_coroutine)


async def _serve(config: Config, listener: socket.socket) -> None:
    import uvicorn

    from holdfast.server.app import Server
    from holdfast.server.banner import show

    server = Server(config)
    port = listener.getsockname()[1]
    settings = uvicorn.Config(
        server, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
        timeout_graceful_shutdown=GRACE_S, timeout_keep_alive=75,
    )  # fmt: skip
    http = _Http(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, http.stop)
    server.start()
    show(config, port, server)
    await http.serve(sockets=[listener])
    await server.close()


def _http_class():  # type: ignore[no-untyped-def]
    import uvicorn

    class Http(uvicorn.Server):
        """Uvicorn without its signal handlers: the server stops in its own order."""

        def stop(self) -> None:
            if self.should_exit:
                self.force_exit = True
            self.should_exit = True

        def capture_signals(self):  # type: ignore[no-untyped-def]
            import contextlib

            return contextlib.nullcontext()

    return Http


def _Http(settings):  # type: ignore[no-untyped-def]  # noqa: N802
    return _http_class()(settings)


if __name__ == "__main__":
    main()
