"""Holdfast: durable functions for Python, wire-compatible with Inngest."""

__version__ = "0.1.0"
