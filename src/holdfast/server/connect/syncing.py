"""Registering the apps that a worker brings."""

from __future__ import annotations

import structlog

from holdfast.protocol.functions import RegistrationError
from holdfast.server.connect.history import History
from holdfast.server.connect.roster import Group, Roster
from holdfast.server.runtime.apps import Apps, Refused

log = structlog.get_logger(__name__)


class SyncError(Exception):
    """An app that can't be registered, with a code for the worker."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Syncs:
    """Registers apps of workers as `POST /fn/register` does.

    A version that other workers already run, or ran when the server ended, is not registered again: an old worker that
    comes back during a deployment must not undo what the new ones registered.
    """

    def __init__(self, apps: Apps, roster: Roster, history: History) -> None:
        self._apps = apps
        self._roster = roster
        self._history = history

    def group(self, name: str, version: str, hash: str, slugs: frozenset[str], body: bytes, now: int) -> Group:
        """Return the group of an app that a worker brings, registered. Raises SyncError, StoreError."""
        app = self._apps.by_name(name)
        if app is not None and app.archived_at is None and app.method == "connect":
            known = self._roster.group(app.id, hash)
            if known is not None:
                return known
            kept = self._history.awaited(app.id, hash)
            if kept is not None:
                return self._arrived(Group(app.id, name, version, hash, slugs, kept.since, kept.sync_id))
        return self._arrived(self._registered(name, version, hash, slugs, body, now))

    def _arrived(self, group: Group) -> Group:
        self._history.arrived(group)
        return group

    def _registered(self, name: str, version: str, hash: str, slugs: frozenset[str], body: bytes, now: int) -> Group:
        try:
            done = self._apps.register(body, method="connect")
        except Refused as refused:
            text = self._problem(name) or str(refused)
            log.warning("refused a worker's app", app=name, error=text)
            raise SyncError(refused.code or "invalid_function_configuration", text) from None
        except RegistrationError as error:
            log.warning("refused a worker's app", app=name, error=str(error))
            raise SyncError("", str(error)) from None
        return Group(done.app_id, name, version, hash, slugs, now, done.sync_id)

    def _problem(self, name: str) -> str:
        app = self._apps.by_name(name)
        return app.error if app is not None else ""
