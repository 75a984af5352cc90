"""The rows of apps and functions in memory, and how to find them: by name, by URL, by app."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.server.model.app import AppRecord, FunctionRecord


class AppRecords:
    """All apps and functions, archived ones included. What a look-up costs doesn't depend on how many there are."""

    def __init__(self, apps: Iterable[AppRecord] = (), functions: Iterable[FunctionRecord] = ()) -> None:
        self.apps: dict[str, AppRecord] = {}
        self.functions: dict[str, FunctionRecord] = {}
        self._by_name: dict[str, str] = {}
        self._by_url: dict[str, dict[str, None]] = {}
        self._of_app: dict[str, dict[str, FunctionRecord]] = {}
        self.update(apps, functions)

    def update(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> None:
        """Forget the apps of the ids `removed`, then take these rows, new or changed."""
        for id in removed:
            self._forget(self.apps.pop(id))
        for app in apps:
            if app.id in self.apps:
                self._forget(self.apps[app.id])
            self.apps[app.id] = app
            if app.name:
                self._by_name.setdefault(app.name, app.id)
            self._by_url.setdefault(app.url, {})[app.id] = None
        for function in functions:
            self.functions[function.id] = function
            self._of_app.setdefault(function.app_id, {})[function.id] = function

    def by_name(self, name: str) -> AppRecord | None:
        """Return the app of a name, archived or not."""
        return self.apps.get(self._by_name.get(name, ""))

    def by_url(self, url: str) -> list[AppRecord]:
        """Return the apps at a URL, in the order in which they came; placeholders and archived ones included."""
        return [self.apps[id] for id in self._by_url.get(url, ())]

    def functions_of(self, app_id: str) -> list[FunctionRecord]:
        """Return the functions of an app, archived ones included."""
        return list(self._of_app.get(app_id, {}).values())

    def _forget(self, app: AppRecord) -> None:
        if self._by_name.get(app.name) == app.id:
            del self._by_name[app.name]
        ids = self._by_url[app.url]
        del ids[app.id]
        if not ids:
            del self._by_url[app.url]
