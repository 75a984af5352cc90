"""An event as accepted (the codec is `holdfast.protocol.events`)."""

from holdfast.protocol.events import INTERNAL_PREFIX, Event, Invocation

__all__ = ["INTERNAL_PREFIX", "Event", "Invocation"]
