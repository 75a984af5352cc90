"""The adapter to Anthropic."""

from holdfast.sdk.ai import Anthropic as Adapter

__all__ = ["Adapter"]
