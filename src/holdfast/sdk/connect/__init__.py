"""A worker: a process that connects to a server and takes calls over the connection, without a port of its own."""

from holdfast.sdk.connect.states import ConnectionState
from holdfast.sdk.connect.worker import WorkerConnection, connect

__all__ = ["ConnectionState", "WorkerConnection", "connect"]
