"""The adapter to Grok."""

from holdfast.sdk.ai import Grok as Adapter

__all__ = ["Adapter"]
