"""The logger that functions get, silent while a run repeats what it did before; and what the SDK itself logs."""

from __future__ import annotations

import logging
from typing import Any, Final, Literal

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


def log(logger: Any, level: Literal["debug", "warning", "error"], text: str) -> None:
    """Log a line of the SDK's own. A user's logger that can't take it must not cost an answer."""
    try:
        getattr(logger, level)(text)
    except Exception:  # noqa: BLE001 - any object may stand in for a logger, with any of its methods
        getattr(_own, level)(text)


_own: Final = logging.getLogger("holdfast")


def _nothing(*_: object, **__: object) -> None:
    return None
