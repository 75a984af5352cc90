"""Adapters to providers of models, for `step.ai.infer`."""

from holdfast.experimental.ai import anthropic, deepseek, gemini, grok, openai
from holdfast.sdk.ai import BaseAdapter

__all__ = ["BaseAdapter", "anthropic", "deepseek", "gemini", "grok", "openai"]
