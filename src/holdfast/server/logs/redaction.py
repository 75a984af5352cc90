"""Keeps secrets out of logs: of what is logged under a telling name, and of what looks like one inside a text.

Nothing here logs secrets on purpose; this is for URLs, headers and error texts that have one in them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final, cast

import structlog

MASK: Final = "[hidden]"
_NAMES: Final = re.compile(
    r"(?:^|[_-])(?:authorization|cookie|password|passwd|secret|token|api[_-]?key|signing[_-]?key|event[_-]?key)s?$",
    re.IGNORECASE,
)
#: API tokens, signing keys, bearers, sessions, secrets in URLs and in the paths that events are sent to, JWTs.
_TEXTS: Final = re.compile(
    r"(?P<keep>"
    r"\b(?:Bearer|Basic)\s+|holdfast_session=|/e/(?=[^/\s?\"']{8})"
    r"|[?&](?:token|access_token|code|client_secret|state|password|key)=|(?<=://)(?=[^/\s@:]+:[^/\s@]+@)"
    r"|\"(?:password|token|secret|key)\"\s*:\s*\""
    r"|(?=hf_[\w-]{20})|\bsignkey-\w+-|(?=\beyJ[\w-]+\.[\w-]+\.)"
    r")[^\s\"'&@,;/?#)]+",
    re.IGNORECASE,
)


def redacted(value: object) -> object:
    """A value without the secrets that can be told; other kinds than texts, lists and mappings as they are."""
    if isinstance(value, str):
        return _TEXTS.sub(lambda match: f"{match['keep']}{MASK}", value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {name: _named(str(name), inner) for name, inner in items}
    if isinstance(value, (list, tuple)):
        return [redacted(inner) for inner in cast("list[object]", value)]
    return value


def redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Return a processor of structlog: the entry without secrets."""
    return {name: _named(name, value) for name, value in event.items()}


class Redaction(logging.Filter):
    """The same, for what libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, redacted."""
        record.msg, record.args = redacted(record.getMessage()), None
        if record.exc_info:  # formatters print this text instead
            record.exc_text = str(redacted(logging.Formatter().formatException(record.exc_info)))
        return True


def _named(name: str, value: object) -> object:
    return MASK if _NAMES.search(name) and isinstance(value, (str, bytes)) and value else redacted(value)
