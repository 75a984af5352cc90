"""Errors."""

from holdfast.sdk.errors import *  # noqa: F403 - all of them
from holdfast.sdk.errors import get_traceback, is_quiet, is_retriable

__all__ = ["get_traceback", "is_quiet", "is_retriable"]
