"""The logger that functions get: silent while a run repeats what it did before."""

from __future__ import annotations

from typing import Any, Final

_SILENCED: Final = frozenset({"critical", "debug", "error", "exception", "fatal", "info", "log", "warn", "warning"})


class RunLogger:
    """Passes lines on once `live` is set; until then they are those of earlier calls of the run."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self.live = False

    def __getattr__(self, name: str) -> Any:
        if not self.live and name in _SILENCED:
            return _nothing
        return getattr(self._logger, name)


def _nothing(*_: object, **__: object) -> None:
    return None
