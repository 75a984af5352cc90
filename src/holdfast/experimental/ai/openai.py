"""The adapter to OpenAI."""

from holdfast.sdk.ai import OpenAI as Adapter

__all__ = ["Adapter"]
