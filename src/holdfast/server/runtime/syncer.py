"""Asking apps to register: pings, polling, autodiscovery (`protocol/execution.md` §1.2, §1.8)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from holdfast.protocol.canonical import canonical
from holdfast.protocol.limits import PING_TIMEOUT_S
from holdfast.protocol.signing import sign, verify_answer
from holdfast.protocol.urls import normalize_url, with_scheme
from holdfast.server.activity.happening import Happening, What
from holdfast.server.drivers.http import Answer, CallFailure, HttpClient
from holdfast.server.model.app import AppRecord
from holdfast.server.runtime.app_trouble import UNREACHABLE
from holdfast.server.runtime.apps import Apps, Refused
from holdfast.server.runtime.inband import registration_of
from holdfast.server.store.store import StoreError

log = structlog.get_logger(__name__)

PORTS = (80, 443, *range(3000, 3011), 4321, 5000, 5173, 8000, 8080, 8081, 8888, *range(8910, 8916), 8787)
PATHS = ("/api/inngest", "/x/inngest", "/.netlify/functions/inngest", "/.redwood/functions/inngest")
SCAN_TIMEOUT_S = 2.0
#: How many scans come first at a shorter interval, and that interval in seconds.
EAGER_SCANS = 15
EAGER_S = 1.0
#: After this an app that was added by its URL, and never registered, is forgotten.
FORGET_MS = 3_600_000

_BY_STATUS = {401: "unauthorized", 403: "forbidden", 404: "url_not_found", 500: "internal_server_error"}
_BY_MESSAGE = (
    ("No functions registered", "no_functions"),
    ("function is invalid", "invalid_function"),
    ("You didn't specify your workspace's signing key", "missing_signing_key"),
    ("No INNGEST_ENV branch name found", "missing_branch_env_name"),
)


class _Message(msgspec.Struct):
    message: str = ""


class Syncer:
    """Pings apps. `server_kind` is `dev` or `cloud`; `signers` are the signing keys in force, the current one first."""

    def __init__(
        self, apps: Apps, client: HttpClient, *, server_kind: str, signers: Callable[[], Sequence[str]] = tuple,
        interval: float = 5.0,
    ) -> None:  # fmt: skip
        self._apps = apps
        self._client = client
        self._kind = server_kind
        self._signers = signers
        self._interval = interval
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted: list[str] = []
        self._to_expect: list[str] = []
        self.found: set[str] = set()

    def start(self, urls: Sequence[str], *, poll: bool, discover: bool) -> None:
        """Expect apps at `urls`, and keep pinging: all, or without `poll` those in error. `discover` scans ports."""
        self._wanted = [with_scheme(url) for url in urls]
        self._to_expect = self._wanted.copy()
        self._remember(0)
        self._tasks.append(asyncio.create_task(self._poll(healthy=poll)))
        if discover:
            self._tasks.append(asyncio.create_task(self._discover()))

    async def close(self) -> None:
        """Stop pinging."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ping(self, url: str) -> str:
        """Ask the app at a URL to register. Returns the error's code, or nothing."""
        error, _ = await self._ping(url)
        return error

    async def _ping(self, url: str) -> tuple[str, bool]:
        body = canonical(msgspec.json.encode({"url": url}))
        headers = [("Content-Type", "application/json"), ("X-Inngest-Server-Kind", self._kind)]
        signers = self._signers()
        if signers:
            # Signed, the app may send its functions with its answer: then it need not reach this server (§1.7).
            headers.append(("X-Inngest-Sync-Kind", "in_band"))
            headers.append(("X-Inngest-Signature", sign(signers[0], body, int(time.time()))))
        elif self._kind == "cloud":
            return "missing_server_signing_key", False
        try:
            answer = await self._client.fetch("PUT", url, headers, body, timeout=PING_TIMEOUT_S)
        except CallFailure as failure:
            return ("unsupported_protocol" if failure.code == "unsupported_protocol" else UNREACHABLE), False
        except ValueError as error:
            return str(error), False
        in_band = answer.headers.get("x-inngest-sync-kind", "").replace("-", "_") == "in_band"
        if signers and answer.status == 200 and in_band:
            return self._accept_in_band(answer), True
        return _error_of(answer), bool(answer.headers.get("x-inngest-sdk"))

    def _accept_in_band(self, answer: Answer) -> str:
        """The app sent its functions with its answer (§1.7), which must be signed as it is the whole registration."""
        signature = answer.headers.get("x-inngest-signature", "")
        if not any(verify_answer(key, answer.body, signature) for key in self._signers()):
            return "unauthorized"
        try:
            self._apps.register(registration_of(answer.body))
        except (Refused, ValueError, msgspec.MsgspecError) as error:
            return str(error)
        return ""

    async def sync(self, app: AppRecord) -> str:
        """Ping a known app and remember an error. Success leaves an old one: only a registration clears it."""
        apps = self._apps
        apps.refusals.pop(app.url, None)
        error = await self.ping(app.url)
        current = apps.apps.get(app.id)
        if not error:
            apps.set_answered(app.id)
        elif app.url in apps.refusals:
            return apps.refusals[app.url]  # says more than the app's answer does
        elif current is not None and current.archived_at is None:
            apps.set_error(current, error)
        return error

    async def _poll(self, *, healthy: bool) -> None:
        while True:
            apps = [a for a in self._apps.active() if a.method == "serve" and a.url and (healthy or a.error)]
            for result in await asyncio.gather(*map(self.sync, apps), return_exceptions=True):
                if isinstance(result, Exception):
                    log.warning("sync failed", error=repr(result))
            self._remember(FORGET_MS)
            await asyncio.sleep(self._interval)

    def _remember(self, forget_after_ms: int) -> None:
        """Forget who never came, and expect who is wanted; the next time, if the store is away."""
        with contextlib.suppress(StoreError):
            self._apps.forget_placeholders(self._wanted, forget_after_ms)
            while self._to_expect:
                self._apps.expect(self._to_expect[0])
                del self._to_expect[0]

    # --- discovery --------------------------------------------------------------------------------------------------

    async def _discover(self) -> None:
        """Look for apps on this machine until one has synced."""
        scans = 0
        while not any(app.name and not app.error for app in self._apps.active()):
            for url in await self.scan():
                with contextlib.suppress(StoreError):  # it is found again when the store is back
                    await self._found(url)
            scans += 1  # whoever starts a server is about to start an app
            await asyncio.sleep(min(self._interval, EAGER_S) if scans <= EAGER_SCANS else self._interval)
        log.info("autodiscovery stopped: an app has synced; add others with -u URL, or let them register themselves")

    async def _found(self, url: str) -> None:
        """Ask an app that was found to register; one that is known is pinged anyway."""
        if self._apps.by_url(url) is not None:
            return
        if url not in self.found:
            self.found.add(url)
            self._apps.tell(Happening(what=What.APP_FOUND, time=self._apps.now(), url=url))
        self._apps.refusals.pop(normalize_url(url), None)
        error, from_sdk = await self._ping(url)
        if error and from_sdk and normalize_url(url) not in self._apps.refusals:
            self._apps.set_error(self._apps.expect(url, discovered=True), error)

    async def scan(self) -> list[str]:
        """URLs on this machine's usual ports where an SDK answers."""
        own = os.environ.get("PORT", "")
        ports = [*PORTS, *([int(own)] if own.isdigit() and int(own) not in PORTS else [])]
        found = await asyncio.gather(*map(self._scan_port, ports))
        return [url for urls in found for url in urls]

    async def _scan_port(self, port: int) -> list[str]:
        try:
            async with asyncio.timeout(SCAN_TIMEOUT_S):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError):
            return []
        writer.close()
        urls = [f"http://localhost:{port}{path}" for path in PATHS]
        hits = await asyncio.gather(*map(self._is_app, urls))
        # One that answers under every path, as a plain `node:http` server does, is one app and not four.
        return [url for url, hit in zip(urls, hits, strict=True) if hit][:1]

    async def _is_app(self, url: str) -> bool:
        try:
            answer = await self._client.fetch("GET", url, timeout=SCAN_TIMEOUT_S)
        except CallFailure:
            return False
        return bool(answer.headers.get("x-inngest-sdk"))


def _error_of(answer: Answer) -> str:
    """Return what an answer to a ping says of the app; nothing if it is well."""
    if answer.status == 400:
        try:
            message = msgspec.json.decode(answer.body, type=_Message).message
        except msgspec.DecodeError:
            return ""
        if message == "Your signing key is invalid":
            return "invalid_signing_key"
        return next((code for part, code in _BY_MESSAGE if part in message), message)
    return _BY_STATUS.get(answer.status, "")
