"""What may still change: the names of the official SDK's experimental modules, and their behaviour."""

from holdfast.experimental.deferred import create_defer
from holdfast.sdk.context import get_step_context, set_step_context, step

__all__ = ["create_defer", "get_step_context", "set_step_context", "step"]
