"""Constants."""

from holdfast.sdk.consts import (
    AUTHOR,
    DEFAULT_API_ORIGIN,
    DEFAULT_EVENT_API_ORIGIN,
    DEFAULT_SERVE_PATH,
    DEV_SERVER_ORIGIN,
    OFFICIAL,
    EnvKey,
    Streaming,
)

__all__ = [
    "AUTHOR", "DEFAULT_API_ORIGIN", "DEFAULT_EVENT_API_ORIGIN", "DEFAULT_SERVE_PATH", "DEV_SERVER_ORIGIN", "LANGUAGE",
    "VERSION", "EnvKey", "Streaming",
]  # fmt: skip

LANGUAGE, VERSION = OFFICIAL
