"""A server as a process: port (`http`, `websocket`), loop and signals (`run`), signs of life (`banner`, `systemd`)."""

from holdfast.server.serve.run import PortError, run

__all__ = ["PortError", "run"]
