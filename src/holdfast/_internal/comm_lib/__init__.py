"""What `comm_lib` holds elsewhere."""

from holdfast._internal.comm_lib.handler import CommHandler, get_function_configs
from holdfast.sdk.answers import CommRequest, CommResponse

__all__ = ["CommHandler", "CommRequest", "CommResponse", "get_function_configs"]
