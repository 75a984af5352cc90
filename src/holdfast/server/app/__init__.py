"""The composition root: `parts` are made of the configuration, `apis` of the parts, and `server` of both."""

from holdfast.server.app.server import Server

__all__ = ["Server"]
