"""Import this SDK under the name of the official one: `inngest`, `inngest.flask`, `inngest.experimental.ai`, …"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `inngest.x` as `holdfast.x`: the same module object under both names."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "inngest":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module("holdfast" + spec.name.removeprefix("inngest"))
        self._original = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._original


def install() -> None:
    """Have all later imports of `inngest` mean this SDK."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "inngest"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Alias())
