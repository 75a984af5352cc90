"""Events."""

from holdfast.sdk.events import Event

__all__ = ["Event"]
