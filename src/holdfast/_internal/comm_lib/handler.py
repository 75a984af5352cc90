"""The handler behind framework modules, one method for each kind of request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.sdk import handler
from holdfast.sdk.registering import configs

if TYPE_CHECKING:
    from holdfast.sdk.answers import CommRequest, CommResponse
    from holdfast.sdk.function import Function

__all__ = ["CommHandler", "get_function_configs"]


class CommHandler(handler.CommHandler):
    """Serves the functions of one app."""

    async def get(self, request: CommRequest) -> CommResponse:
        """Tell what is served."""
        return await self.handle("GET", request)

    async def post(self, request: CommRequest) -> CommResponse:
        """Run a function."""
        return await self.handle("POST", request)

    async def put(self, request: CommRequest) -> CommResponse:
        """Register the functions."""
        return await self.handle("PUT", request)

    def get_sync(self, request: CommRequest) -> CommResponse:
        """Tell what is served, without an event loop."""
        return self.handle_sync("GET", request)

    def post_sync(self, request: CommRequest) -> CommResponse:
        """Run a function without an event loop."""
        return self.handle_sync("POST", request)

    def put_sync(self, request: CommRequest) -> CommResponse:
        """Register the functions without an event loop."""
        return self.handle_sync("PUT", request)


def get_function_configs(app_url: str, fns: dict[str, Function[Any]]) -> list[dict[str, object]] | Exception:
    """Return functions as they are registered, or the error why they can't be."""
    try:
        return configs(fns.values(), app_url)
    except Exception as error:  # noqa: BLE001 - the error is the answer
        return error
