"""Hatch's build hook: the web UI is built before a wheel, or an editable installation, is made of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class UiBuildHook(BuildHookInterface[Any]):
    """Builds `ui/` into `src/holdfast/_ui`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's interface
        """Build. A wheel without its UI is not made; an editable installation is, and what failed is said."""
        ui = _load(Path(self.root) / "ui" / "build.py")
        try:
            ui.build()
        except ui.BuildError as error:
            if version != "editable":
                raise
            self.app.display_error(f"The web UI was not built: {error}")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ui_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
