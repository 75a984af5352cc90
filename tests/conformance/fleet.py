"""The app processes of one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .harness import App, Platform
from .processes import Process, js_app_process, python_app_process

if TYPE_CHECKING:
    from pathlib import Path

PATHS = {"js": "/api/inngest", "js-plain": "/api/plain", "fastapi": "/api/inngest", "flask": "/api/inngest"}


class Fleet:
    """The running app processes of one server, by what they run."""

    def __init__(self, platform: Platform, upstream: str, logs: Path, keys: dict[str, str] | None = None) -> None:
        self.platform = platform
        self.logs = logs
        self.env = {"SERVER_URL": platform.url, "UPSTREAM_URL": upstream, **(keys or {})}
        self.processes: dict[str, Process] = {}
        self.apps: dict[str, App] = {}

    def process(self, kind: str) -> Process:
        name = "node" if kind.startswith("js") else kind
        if name not in self.processes:
            log = self.logs / f"{name}.log"
            python = {"APP_ID": kind, **self.env}
            process = js_app_process(log, self.env) if name == "node" else python_app_process(kind, log, python)
            process.start("/calls")
            self.processes[name] = process
        return self.processes[name]

    def app(self, kind: str, app_id: str | None = None, path: str | None = None) -> App:
        """An app of this kind, synced; `path` serves another app of the same process."""
        key = app_id or kind
        if key not in self.apps:
            process = self.process(kind)
            app = App(key, kind, process.url, path or PATHS[kind], self.platform)
            app.sync()
            self.apps[key] = app
        return self.apps[key]

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()
