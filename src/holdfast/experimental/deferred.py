"""Deferred functions: they run once the run that asked for them has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from holdfast.sdk.defers import DeferHandle, DeferredFunction, DeferredParent

if TYPE_CHECKING:
    from holdfast.sdk.client import DeferOptions, Inngest

__all__ = ["DeferHandle", "DeferredFunction", "DeferredParent", "create_defer"]


def create_defer(client: Inngest, *, fn_id: str, **options: Unpack[DeferOptions]) -> Any:
    """Return a decorator that makes a handler a deferred function; see `Client.create_defer`."""
    return client.create_defer(fn_id=fn_id, **options)
