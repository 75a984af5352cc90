"""Error objects that users see (`protocol/execution.md` §3.8)."""

from __future__ import annotations


def standard_error(output: bytes | None, error: str) -> bytes:
    """Derives `{"error","name","message","stack"?,"cause"?}` from a failed attempt's body and error text."""
    raise NotImplementedError


def server_error(name: str, message: str, error: str | None = None, stack: str | None = None) -> bytes:
    """The wrapped object `{"error":{"error","name","message"[,"stack"]}}` of a failure that the server itself decides."""
    raise NotImplementedError
