"""What `middleware_lib` holds elsewhere."""

from holdfast.sdk.middleware import (
    Middleware,
    MiddlewareManager,
    MiddlewareSync,
    TransformOutputResult,
    TransformOutputStepInfo,
    UninitializedMiddleware,
)

__all__ = [
    "Middleware", "MiddlewareManager", "MiddlewareSync", "TransformOutputResult", "TransformOutputStepInfo",
    "UninitializedMiddleware",
]  # fmt: skip
