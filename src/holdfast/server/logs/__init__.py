"""Logs: how they look (`setup`), and that they tell no secrets (`redaction`)."""

from holdfast.server.logs.setup import as_json, set_up, tell

__all__ = ["as_json", "set_up", "tell"]
