"""Outputs of steps kept elsewhere, in memory or in a bucket."""

from holdfast.sdk.remote_state import InMemoryDriver, RemoteStateMiddleware, S3Driver, StateDriver

__all__ = ["InMemoryDriver", "RemoteStateMiddleware", "S3Driver", "StateDriver"]
