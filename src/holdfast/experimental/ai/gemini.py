"""The adapter to Gemini."""

from holdfast.sdk.ai import Gemini as Adapter

__all__ = ["Adapter"]
