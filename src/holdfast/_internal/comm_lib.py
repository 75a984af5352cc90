"""What `comm_lib` holds elsewhere."""

from holdfast.sdk.answers import CommRequest, CommResponse
from holdfast.sdk.handler import CommHandler

__all__ = ["CommHandler", "CommRequest", "CommResponse"]
