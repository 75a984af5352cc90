"""What `execution_lib` holds elsewhere."""

from holdfast.sdk.context import Context, ContextSync, get_step_context, set_step_context, step
from holdfast.sdk.execution import CallResult

__all__ = ["CallResult", "Context", "ContextSync", "get_step_context", "set_step_context", "step"]
