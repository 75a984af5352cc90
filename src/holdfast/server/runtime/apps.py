"""Apps: what registered, what is asked to register, and what was found on this machine (`protocol/execution.md` §1)."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from holdfast.protocol import ids
from holdfast.protocol.functions import (
    FunctionConfig,
    Registration,
    Step,
    check_function,
    checksum,
    decode_registration,
    format_errors,
    load_config,
    stored_config,
)
from holdfast.protocol.urls import normalize_url
from holdfast.server.activity.happening import Happening, What
from holdfast.server.engine.engine import DefectError, Engine
from holdfast.server.engine.registry import Function
from holdfast.server.expressions import check
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.runtime.app_records import AppRecords
from holdfast.server.runtime.app_trouble import UNREACHABLE, trouble
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.store import MissingError, StoreError

#: Since when official SDKs make bodies canonical before they check a signature; others check the bytes.
_EXACT_SINCE = {"py": (0, 4), "js": (3, 54), "py-holdfast": (0, 1)}
NO_FUNCTIONS = "No functions registered within your app"


class Refused(Exception):
    """A registration that is refused: the public message, and a code if there is one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Registered(msgspec.Struct):
    """The answer to an accepted registration."""

    ok: bool
    modified: bool
    sync_id: str
    app_id: str


#: When a reminder follows of an app whose error stays, and the longest pause (ms): each is twice the one before.
REMIND_MS: Final = 60_000
REMIND_MOST_MS: Final = 3_600_000


class _Said(msgspec.Struct):
    """An error that was told: when it is told again (ms), and how long after the last time."""

    error: str
    again_at: int
    pause: int = REMIND_MS

    def remind(self, now: int) -> None:
        """It is told now."""
        self.again_at = now + self.pause
        self.pause = min(2 * self.pause, REMIND_MOST_MS)


class Apps:
    """All apps and functions, in memory and in the store."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.now = partition.now
        self._store = partition.store
        self._records = AppRecords()
        self.on_change: Callable[[], None] = lambda: None
        self.tell: Callable[[Happening], None] = lambda _: None  # told what becomes of apps
        self.refusals: dict[str, str] = {}  # by URL: what was wrong with the last registration, if it was refused
        self._said: dict[str, _Said] = {}  # by app id: the error that was told last
        self._answered: dict[str, int] = {}  # by app id: when it was well last, ms since the epoch
        self._units: dict[str, int | None] = {}  # calls at once that the workers of an app take
        partition.configure = self._configure

    @property
    def apps(self) -> Mapping[str, AppRecord]:
        """All apps by id, archived ones included."""
        return self._records.apps

    @property
    def functions(self) -> Mapping[str, FunctionRecord]:
        """All functions by id, archived ones included."""
        return self._records.functions

    def _configure(self, engine: Engine, now: int) -> None:
        """Read apps and functions from the store, for an engine that knows of none."""
        self._records = AppRecords(self._store.apps(), self._store.functions())
        engine.configure([self._runnable(f) for f in self.functions.values() if f.archived_at is None], now)
        for app in self.apps.values():
            self._set_capacity(engine, app, now)

    def _reconfigure(self, app_id: str, functions: list[FunctionRecord]) -> None:
        """Give the engine what has changed of one app."""

        def change(engine: Engine, now: int) -> None:
            active = [self._runnable(f) for f in functions if f.archived_at is None]
            engine.reconfigure(active, [f.id for f in functions if f.archived_at is not None], now)
            if app := self.apps.get(app_id):
                self._set_capacity(engine, app, now)

        self._partition.give(change)

    def _runnable(self, record: FunctionRecord) -> Function:
        return _runnable(record, self.apps.get(record.app_id))

    def set_capacity(self, app_id: str, units: int | None) -> None:
        """Take note of how many calls at once the workers of an app take; None: any number."""
        self._units[app_id] = units
        app = self.apps.get(app_id)
        if app is not None:
            with contextlib.suppress(StoreError, DefectError):  # the reload that follows configures everything
                self._partition.give(lambda engine, now: self._set_capacity(engine, app, now))

    def _set_capacity(self, engine: Engine, app: AppRecord, now: int) -> None:
        """Let the engine hold back what no worker is there for. An app that is called over HTTP has no workers."""
        units = self._units.get(app.id, 0) if app.method == "connect" else None
        if engine.view.capacity(app.id) != units:
            engine.set_capacity(app.id, units, now)

    # --- registration -----------------------------------------------------------------------------------------------

    def register(self, body: bytes, *, method: str = "serve") -> Registered:
        """Takes a registration. Raises RegistrationError (undecodable) or Refused."""
        return self.accept(decode_registration(body), checksum(body), method=method)

    def accept(self, registration: Registration, digest: str, *, method: str = "serve") -> Registered:
        """Takes a decoded registration: validation, reconciliation, one transaction (§1.6)."""
        if not registration.app_name:
            raise Refused("App ID required")
        known = self.by_name(registration.app_name)
        if any(function.url.startswith(("ws:", "wss:")) for function in registration.functions):
            method = "connect"  # whoever registered it: without a worker its calls must wait, not go in circles
        app = _updated(known, registration, digest, method, self.now())
        self.refusals.pop(app.url, None)
        self._refuse_denied_sdk(registration, app)
        if known and known.checksum == digest and known.archived_at is None and not known.error:
            return _answer(app, modified=False)
        self._refuse_invalid(registration.functions, app)
        before = self._active_of(app)
        functions = self._reconcile(app, registration.functions)
        if not registration.functions:
            app.error = NO_FUNCTIONS
        self._save([app], functions, self._placeholders(app.url))
        self._reconfigure(app.id, functions)
        self._tell_synced(known, app, before, functions)
        return _answer(app, modified=True)

    def _active_of(self, app: AppRecord) -> dict[str, FunctionRecord]:
        return {f.slug: f for f in self._records.functions_of(app.id) if f.archived_at is None}

    def _tell_synced(
        self, known: AppRecord | None, app: AppRecord, before: dict[str, FunctionRecord], rows: list[FunctionRecord]
    ) -> None:
        after = {f.slug: f for f in rows if f.archived_at is None}
        changed = [slug for slug, f in after.items() if slug in before and not _same(before[slug], f)]
        back = known is not None and known.error == UNREACHABLE and before
        self._said.pop(app.id, None)
        self.set_answered(app.id)
        self.tell(
            Happening(
                what=What.APP_BACK if back else What.APP_SYNCED, time=self.now(), app=app.name, url=app.url,
                functions=tuple(after), added=tuple(s for s in after if s not in before), changed=tuple(changed),
                removed=tuple(s for s in before if s not in after), hint=app.error,
            )
        )  # fmt: skip

    def _placeholders(self, url: str) -> list[str]:
        return [a.id for a in self._records.by_url(url) if not a.name]

    def _refuse_denied_sdk(self, registration: Registration, app: AppRecord) -> None:
        if registration.sdk_language == "js" and (3, 22, 0) <= _version(registration.sdk_version) <= (3, 53, 1):
            text = f"Version {registration.sdk_version} of the TypeScript SDK is denied; upgrade to 3.54.0 or later"
            self._keep_refused(msgspec.structs.replace(app, error="sdk_version_denied"), text)
            raise Refused(text, "sdk_version_denied")

    def _refuse_invalid(self, functions: Iterable[FunctionConfig], app: AppRecord) -> None:
        problems = [f"{each.slug}: {problem}" for each in functions for problem in check_function(each, check)]
        if problems:
            refused = msgspec.structs.replace(app, error=format_errors(problems), checksum="")
            self._keep_refused(refused, "; ".join(problems))
            raise Refused("At least one function is invalid")

    def _keep_refused(self, app: AppRecord, why: str) -> None:
        """Remembers why an app was refused; says so when the reason is a new one."""
        known = self.apps.get(app.id)
        self.refusals[app.url] = app.error
        self._said[app.id] = _Said(app.error, self.now() + REMIND_MS)
        if known is None or known.error != app.error:
            self._save([app], [], self._placeholders(app.url))
            self.tell(Happening(what=What.APP_REFUSED, time=self.now(), app=app.name, url=app.url, error=why))

    def _reconcile(self, app: AppRecord, configs: Iterable[FunctionConfig]) -> list[FunctionRecord]:
        """The function rows after this sync: known slugs keep their ids, absent ones are archived."""
        now = self.now()
        known = {f.slug: f for f in self._records.functions_of(app.id)}
        found: dict[str, FunctionRecord] = {}
        for config in configs:
            old = known.get(config.slug)
            id = old.id if old else ids.function_id(config.name, config.url)
            if not old and id in self.functions:  # the same name and URL under another slug
                id = str(uuid.uuid4())
            version = old.version + 1 if old else 1
            created = old.created_at if old else now
            stored = stored_config(config, id, version)
            found[config.slug] = FunctionRecord(id, app.id, config.slug, config.name, version, stored, created)
        gone = [f for slug, f in known.items() if slug not in found and f.archived_at is None]
        return [*found.values(), *(msgspec.structs.replace(f, archived_at=now) for f in gone)]

    def endpoint(self, domain: str, slug: str, url: str, retries: int) -> Function:
        """The function of a durable endpoint, which registers with its first request (§5.3)."""
        app_id = ids.endpoint_app_id(domain)
        function_id = ids.endpoint_function_id(app_id, slug)
        known = self.functions.get(function_id)
        if known is None or known.archived_at is not None or load_config(known.config).url != url:
            now = self.now()
            app = self.apps.get(app_id) or AppRecord(app_id, domain, domain, "api", created_at=now)
            config = FunctionConfig(slug, slug, steps=(Step("step", "step", url, retries),))
            version = known.version + 1 if known else 1
            record = FunctionRecord(
                function_id, app_id, slug, slug, version, stored_config(config, function_id, version), now
            )
            self._save([msgspec.structs.replace(app, archived_at=None)], [record])
            self._reconfigure(app_id, [record])
        return self._partition.view.functions[function_id]

    # --- apps -------------------------------------------------------------------------------------------------------

    def expect(self, url: str, *, discovered: bool = False) -> AppRecord:
        """An app that is to register: a nameless row until it does."""
        url = normalize_url(url)
        app = self.by_url(url)
        if app is None:
            app = AppRecord(ids.app_id(url), "", url, error=UNREACHABLE, created_at=self.now(), discovered=discovered)
            self._save([app], [])
        return app

    def by_url(self, url: str) -> AppRecord | None:
        """The active app with a URL."""
        url = normalize_url(url)
        return next((a for a in self._records.by_url(url) if a.archived_at is None), None)

    def active(self) -> list[AppRecord]:
        """Apps that are not archived."""
        return [a for a in self.apps.values() if a.archived_at is None]

    def set_error(self, app: AppRecord, error: str) -> None:
        """Remember why an app could not be reached or synced; say so when the reason is a new one, and now and then."""
        if app.error != error:
            self._save([msgspec.structs.replace(app, error=error)], [])
        said, now = self._said.get(app.id), self.now()
        if said is None or said.error != error:
            said = self._said[app.id] = _Said(error, now)
        if now >= said.again_at:
            said.remind(now)
            self.tell(trouble(app, error, self._answered.get(app.id, 0), self.now()))

    def called(self, app_id: str, *, reached: bool) -> None:
        """Take note that a call found nobody at an app's URL, which is pinged then, or somebody again."""
        app = self.apps.get(app_id)
        if app is None or app.archived_at is not None or app.method != "serve":
            return
        with contextlib.suppress(StoreError):  # the next call finds out again
            if not reached:
                self.set_error(app, UNREACHABLE)
            elif app.error == UNREACHABLE:
                self._save([msgspec.structs.replace(app, error="")], [])
                self._said.pop(app.id, None)
                self.set_answered(app.id)
                functions = tuple(self._active_of(app))
                self.tell(
                    Happening(what=What.APP_BACK, time=self.now(), app=app.name, url=app.url, functions=functions)
                )

    def set_answered(self, app_id: str) -> None:
        """Remembers that an app has just answered a ping, and well."""
        self._answered[app_id] = self.now()

    def set_url(self, app_id: str, url: str) -> bool:
        """Moves an app to another URL."""
        app = self.apps.get(app_id)
        if app is None:
            return False
        self._save([msgspec.structs.replace(app, url=normalize_url(url))], [])
        return True

    def archive(self, app_id: str) -> bool:
        """Archives an app and its functions: no new runs. One that never registered is forgotten."""
        app = self.apps.get(app_id)
        if app is None or app.archived_at is not None:
            return False
        now = self.now()
        functions = [
            msgspec.structs.replace(f, archived_at=now)
            for f in self._records.functions_of(app_id)
            if f.archived_at is None
        ]
        if app.name:
            self._save([msgspec.structs.replace(app, archived_at=now, checksum="")], functions)
        else:
            self._save([], [], [app_id])
        self._reconfigure(app_id, functions)
        self.tell(Happening(what=What.APP_REMOVED, time=now, app=app.name, url=app.url))
        return True

    def forget_placeholders(self, wanted: Iterable[str], older_than: int = 0) -> None:
        """Forgets apps that never registered, unless their URL is wanted; those that are new may wait (ms)."""
        urls, now = {normalize_url(url) for url in wanted}, self.now()
        gone = [
            app.id for app in self.apps.values()
            if not app.name and app.url not in urls and now - app.created_at >= older_than
        ]  # fmt: skip
        if gone:
            self._save([], [], gone)

    def by_name(self, name: str) -> AppRecord | None:
        """The app of a name, archived or not."""
        return self._records.by_name(name)

    async def saved(self) -> None:
        """Wait until all that was taken is durable. Raises StoreError if it was not written."""
        await self._partition.committed()

    def _save(self, apps: list[AppRecord], functions: list[FunctionRecord], removed: Sequence[str] = ()) -> None:
        """Store rows, or have the turn's commit store them, and take them. Raises StoreError; then neither was done."""
        self._partition.check()
        try:
            for write in self._store.save_apps(apps, functions, removed):
                self._partition.write(write)
        except MissingError as error:  # who knows where they are: all is read again
            self._partition.distrust(error)
            raise
        self._records.update(apps, functions, removed)
        self.on_change()


def _same(old: FunctionRecord, new: FunctionRecord) -> bool:
    """Whether a function is what it was, but for its version."""
    return stored_config(load_config(old.config), new.id, new.version) == new.config


def _updated(known: AppRecord | None, registration: Registration, digest: str, method: str, now: int) -> AppRecord:
    return AppRecord(
        known.id if known else ids.app_id(registration.app_name), registration.app_name, registration.url, method,
        registration.sdk_language, registration.sdk_version, registration.framework, registration.app_version, digest,
        created_at=known.created_at if known else now, discovered=known.discovered if known else False,
    )  # fmt: skip


def _runnable(record: FunctionRecord, app: AppRecord | None) -> Function:
    config = load_config(record.config)
    exact = app is not None and _is_exact(app)
    return Function(record.id, record.app_id, record.slug, record.name, record.version, config, exact)


def _is_exact(app: AppRecord) -> bool:
    first = _EXACT_SINCE.get(app.sdk_language)
    return first is not None and _version(app.sdk_version) >= first


def _answer(app: AppRecord, *, modified: bool) -> Registered:
    return Registered(ok=True, modified=modified, sync_id=str(uuid.uuid4()), app_id=app.id)


def _version(text: str) -> tuple[int, ...]:
    numbers = re.split("[-+]", text.removeprefix("v"), maxsplit=1)[0].split(".")
    return tuple(int(n) for n in numbers) if all(n.isdigit() for n in numbers) else (0,)
