"""How subcommands ask a running server: of this folder, or of a URL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from holdfast.server.commands import die, keep_home, with_options
from holdfast.server.commands.local_keys import signing_key
from holdfast.server.commands.reach import TOKEN_VARIABLES, http_url
from holdfast.server.config import Config
from holdfast.server.config.sources import Settings

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 30.0
#: How many runs or events are looked through for one whose id ends as was given.
_PAGES, _PAGE = 5, 100
#: The length of an id; the terminal shows its last eight characters.
_ULID: Final = 26


def asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for calling a running server; the command is called with `server`, a `Server`."""

    def called(settings: Settings, url: str, token: str, **given: Any) -> Any:
        return function(server=Server(settings.config(), url, token), **given)

    called.__doc__, called.__name__ = function.__doc__, function.__name__
    called.__click_params__ = list(getattr(function, "__click_params__", ()))  # type: ignore[attr-defined]
    wrapped = with_options("port", "sqlite-dir", "signing-key")(called)
    wrapped = click.option("--token", envvar=TOKEN_VARIABLES, default="", help="API token (or the signing key).")(
        wrapped
    )
    return click.option(
        "--url", envvar="HOLDFAST_URL", default="", callback=http_url,
        help="The server. [default: the one on this machine, at --port]",
    )(wrapped)  # fmt: skip


class Server:
    """A server that runs."""

    def __init__(self, config: Config, url: str, token: str) -> None:
        self.url = url.rstrip("/") or f"http://localhost:{config.port}"
        self._secret = token or config.signing_key or ("" if url else signing_key(config.directory))

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a response. Ends the process if there is none."""
        found = self.find(path, **query)
        if found is None:
            die(f"{self.url} has no {path}")
        return found

    def list(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Return the rows of a list: REST v2 leaves out empty ones."""
        rows: list[dict[str, Any]] = self.get(path, **query).get("data") or []
        return rows

    def find(self, path: str, **query: Any) -> Any | None:
        """As `get`; None for a 404."""
        return self._ask("GET", path, {name: value for name, value in query.items() if value})

    def delete(self, path: str) -> Any | None:
        """Send a DELETE and return the JSON of its response; None for a 404."""
        return self._ask("DELETE", path, {})

    def lines(self, path: str) -> Iterator[str]:
        """Yield the lines of a response as they arrive."""
        with self._client(None) as client, client.stream("GET", path) as answer:
            if not answer.is_success:
                answer.read()
            self._check(answer)
            yield from answer.iter_lines()

    def run_id(self, text: str) -> str | None:
        """Return a run's id, also from its last characters if the run is recent; None if there is no such run."""
        return self._id(text, "/v2/runs", "id")

    def event_id(self, text: str) -> str | None:
        """Return an event's id, as `run_id` does."""
        return self._id(text, "/v1/events", "internal_id")

    def _id(self, text: str, path: str, member: str) -> str | None:
        given = text.upper()
        if len(given) >= _ULID:
            return given
        cursor = ""
        for _ in range(_PAGES):
            answer = self.get(path, limit=_PAGE if path.startswith("/v2") else 50, cursor=cursor)
            rows: list[dict[str, Any]] = answer.get("data") or []
            found = next((str(row[member]) for row in rows if str(row[member]).endswith(given)), None)
            if found or not rows:
                return found
            cursor = answer["page"].get("cursor") if "page" in answer else str(rows[-1][member])
            if not cursor:
                return None
        return None

    def _ask(self, method: str, path: str, query: dict[str, Any]) -> Any | None:
        with self._client(_TIMEOUT_S) as client:
            answer = client.request(method, path, params=query)
        if answer.status_code == 404:
            return None
        self._check(answer)
        return msgspec.json.decode(answer.content)

    @contextmanager
    def _client(self, timeout: float | None) -> Generator[httpx.Client]:
        import httpx  # noqa: PLC0415 - `--help` is quick without it

        if self._secret:
            keep_home(self.url)
        headers = {"authorization": f"Bearer {self._secret}"} if self._secret else {}
        try:
            with httpx.Client(base_url=self.url, headers=headers, timeout=timeout) as client:
                yield client
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            die(f"no server at {self.url} ({why}): start one with `holdfast dev`, or choose one with --url")

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code in {401, 403}:
            die(
                "the server requires authentication; give an API token (--token, HOLDFAST_API_TOKEN) or the signing key"
            )
        if not answer.is_success:
            die(f"the server answered {answer.status_code}: {said(answer.content)}")


def said(body: bytes) -> str:
    """Return the error text of a response body, in any of this server's error formats."""
    try:
        document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "errors" in document:
            return "; ".join(e["message"] for e in msgspec.json.decode(document["errors"], type=list[dict[str, str]]))
        return str(msgspec.json.decode(document["error"], type=str))
    except (msgspec.MsgspecError, KeyError):
        return body[:200].decode(errors="replace").strip()
