"""How subcommands reach a server's access: the running server over HTTP, else its database, which nobody has open.

Both are spoken to in the same way: without a server, the same routes answer in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from holdfast.server.commands import die, is_there, keep_home, with_options
from holdfast.server.commands.local_keys import signing_key
from holdfast.server.config import Config
from holdfast.server.config.sources import Settings

if TYPE_CHECKING:
    import httpx


#: Variables that hold what opens a server, in the order in which they are asked.
TOKEN_VARIABLES: Final = ("HOLDFAST_API_TOKEN",)
_TIMEOUT_S = 30.0


def reaching(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for reaching a server; the command is called with `server`, a `Reach`."""

    def called(settings: Settings, url: str, token: str, **given: Any) -> Any:
        return function(server=Reach(settings.config(), url, token), **given)

    called.__doc__, called.__name__ = function.__doc__, function.__name__
    called.__click_params__ = list(getattr(function, "__click_params__", ()))  # type: ignore[attr-defined]
    wrapped = with_options("sqlite-dir", "port", "signing-key", "signing-key-fallback", "event-key", "postgres-uri")(
        called
    )
    wrapped = click.option("--token", envvar=TOKEN_VARIABLES, default="", help="API token (or the signing key).")(
        wrapped
    )
    return click.option(
        "--url",
        envvar="HOLDFAST_URL",
        default="",
        callback=http_url,
        help="A running server, such as http://localhost:8288.",
    )(wrapped)


def http_url(_ctx: click.Context, _parameter: click.Parameter, url: str) -> str:
    """Return the URL that was given; it must be an HTTP URL."""
    if url and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"'{url}' must be an HTTP URL, such as http://localhost:8288")
    return url


class Reach:
    """A server that may or may not be running."""

    def __init__(self, config: Config, url: str, token: str) -> None:
        self._config = config
        self._url = url.rstrip("/")
        self._token = token

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to `/v0/access` and return the JSON of its response. Ends the process if it is refused."""
        return asyncio.run(self._ask(method, f"/v0/access{path}", body))

    async def _ask(self, method: str, path: str, body: object) -> Any:
        import httpx  # noqa: PLC0415 - `--help` is quick without it

        content = msgspec.json.encode(body) if body is not None else None
        async with self._client() as client:
            try:
                answer = await client.request(method, path, content=content)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                why = error or type(error).__name__
                die(f"no server at {client.base_url} ({why}): set its address with --url")
        if answer.status_code in {401, 403}:
            why = "the server requires authentication" if answer.status_code == 401 else _told(answer).rstrip(".")
            die(f"{why}; give an admin's API token (--token, HOLDFAST_API_TOKEN) or the signing key (--signing-key)")
        if answer.status_code >= 400:
            die(_told(answer))
        return msgspec.json.decode(answer.content) if answer.content else None

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[httpx.AsyncClient]:
        from holdfast.server.store.sqlite import lock  # noqa: PLC0415 - as above
        from holdfast.server.store.store import SchemaError, StoreError  # noqa: PLC0415 - as above

        path = self._config.directory / "main.db"
        if self._url:
            async with self._remote(self._url) as client:
                yield client
            return
        if self._config.postgres_uri:  # its server does it: that one keeps accounts in memory
            async with self._local() as client:
                yield client
            return
        if not is_there(path):
            die(f"there is no database {path}: set its folder with --sqlite-dir, or a running server with --url")
        try:
            held = lock.hold(path)
        except lock.InUseError:
            async with self._local() as client:
                yield client
            return
        except StoreError as error:
            die(str(error))
        try:
            async with self._direct(path) as client:
                yield client
        except (StoreError, SchemaError) as error:
            die(str(error))
        finally:
            held.close()

    def _local(self) -> httpx.AsyncClient:
        """The server of this machine."""
        return self._remote(f"http://localhost:{self._config.port}", signing_key(self._config.directory))

    def _remote(self, url: str, local_key: str = "") -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - as above

        secret = self._token or self._config.signing_key or local_key
        if secret:
            keep_home(url)
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S)

    @asynccontextmanager
    async def _direct(self, path: Path) -> AsyncGenerator[httpx.AsyncClient]:
        """The same routes over the database, for whoever may open its file."""
        import httpx  # noqa: PLC0415 - as above
        from starlette.applications import Starlette  # noqa: PLC0415 - as above

        from holdfast.server.access.access import Access  # noqa: PLC0415 - as above
        from holdfast.server.access.keys import Keys  # noqa: PLC0415 - as above
        from holdfast.server.access.options import Options  # noqa: PLC0415 - as above
        from holdfast.server.access.principals import Principal, Role, current  # noqa: PLC0415 - as above
        from holdfast.server.access.records import Watched, new_ids  # noqa: PLC0415 - as above
        from holdfast.server.api.rest.v0.access_routes import routes  # noqa: PLC0415 - as above
        from holdfast.server.store.records import Immediate  # noqa: PLC0415 - as above
        from holdfast.server.store.sqlite.history import SqliteHistory  # noqa: PLC0415 - as above
        from holdfast.server.store.sqlite.store import SqliteStore  # noqa: PLC0415 - as above

        store, history, config, ids = SqliteStore(path), SqliteHistory(path), self._config, new_ids()
        changes = Watched(Immediate(store))
        records = store.records(changes)
        keys = Keys(
            records, ids, event_keys=config.event_keys, signing_key=config.signing_key,
            signing_key_fallback=config.signing_key_fallback,
        )  # fmt: skip
        access = Access(keys, records, changes, ids, history, Options())
        try:
            keys.load()
            access.load()
            token = current.set(Principal("command-line", Role.ADMIN))
            transport = httpx.ASGITransport(Starlette(routes=routes(access)))
            async with httpx.AsyncClient(transport=transport, base_url="http://database") as client:
                yield client
            current.reset(token)
            await records.committed()
        finally:
            access.close()
            history.close()
            store.close()


def _told(answer: httpx.Response) -> str:
    """Return the error text of a response."""
    try:
        return str(msgspec.json.decode(answer.content)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"the server answered with status {answer.status_code}: {answer.text[:200].strip()}"
