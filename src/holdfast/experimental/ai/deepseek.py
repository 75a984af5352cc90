"""The adapter to DeepSeek."""

from holdfast.sdk.ai import DeepSeek as Adapter

__all__ = ["Adapter"]
