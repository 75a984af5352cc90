"""What `function` holds elsewhere."""

from holdfast.sdk.function import Function

__all__ = ["Function"]
