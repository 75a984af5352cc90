"""Logs: readable on a terminal, JSON lines elsewhere; always on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

from holdfast.server.config import Config
from holdfast.server.redaction import Redaction, redact

_LEVELS = {"trace": 10, "debug": 10, "info": 20, "warn": 30, "error": 40}


def set_up(config: Config) -> None:
    """Configures structlog and the logging of libraries."""
    number = _LEVELS["debug" if config.verbose else config.log_level]
    as_json = _as_json(config)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.EventRenamer("msg") if as_json else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Redaction())


def tell(file: Path | None, warnings: Iterable[str]) -> None:
    """Says which configuration file counts, and what looks wrong."""
    log = structlog.get_logger(__name__)
    if file is not None:
        log.info("configuration file", path=str(file))
    for warning in warnings:
        log.warning("configuration", problem=warning)


def _as_json(config: Config) -> bool:
    if config.json or config.log_format == "auto":
        return config.json or not sys.stderr.isatty()
    return config.log_format == "json"


def _unchanged(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
