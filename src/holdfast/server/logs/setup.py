"""Logs: readable on a terminal, JSON lines elsewhere; always on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

from holdfast.server.config import Config
from holdfast.server.logs.redaction import Redaction, redact
from holdfast.server.terminal import plain, plain_lines

_LEVELS = {"trace": 10, "debug": 10, "info": 20, "warn": 30, "error": 40}


def set_up(config: Config) -> None:
    """Configure structlog and the logging of libraries."""
    number = _LEVELS["debug" if config.verbose else config.log_level]
    json = as_json(config)
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.EventRenamer("msg"), _ordered, structlog.processors.JSONRenderer(default=str)]
        if json
        else [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time")]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time", utc=True),
            structlog.processors.format_exc_info,
            redact,
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = _Forward() if json else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler])
    handler.addFilter(Redaction())


def tell(file: Path | None, warnings: Iterable[str]) -> None:
    """Say which configuration file counts, and what looks wrong."""
    log = structlog.get_logger(__name__)
    if file is not None:
        log.info("configuration file", path=str(file))
    for warning in warnings:
        log.warning("configuration", problem=warning)


class _Plain(logging.Formatter):
    """What libraries log, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return plain_lines(super().format(record))


class _Forward(logging.Handler):
    """Hands what libraries log to structlog, so that every line is JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] is not None else None
        more = {"exc_info": exc_info} if exc_info else {}
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), logger=record.name, **more)


def as_json(config: Config) -> bool:
    """Return whether logs are JSON lines: if asked for, else where stderr is no terminal."""
    if config.json or config.log_format == "auto":
        return config.json or not sys.stderr.isatty()
    return config.log_format == "json"


def _printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For terminals: texts of others must not steer them."""
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: object) -> object:
    if isinstance(value, str):
        return plain_lines(value) if name == "exception" else plain(value)
    return value


def _ordered(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    first = {name: event.pop(name) for name in ("time", "level", "msg")}
    return {**first, **event}
