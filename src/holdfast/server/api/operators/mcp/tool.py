"""A tool of MCP that is no operation of REST v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.access.principals import Role
from holdfast.server.api.rest.v2.json_schemas import Schema, components

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.server.api.common.backend import Backend

R = TypeVar("R", bound=msgspec.Struct)


class ToolError(Exception):
    """A tool can't do what it was asked for; the text is for the caller."""


class Tool(msgspec.Struct, frozen=True):
    """A tool: its arguments are a struct, its result is JSON."""

    name: str
    title: str
    description: str
    request: type[msgspec.Struct]
    run: Callable[[Backend, bytes], Awaitable[object]]
    reads: bool

    @property
    def role(self) -> Role:
        """Who may call it."""
        return Role.VIEWER if self.reads else Role.OPERATOR

    def schema(self) -> Schema:
        """Return what its arguments are."""
        _, parts = components([self.request], "#/$defs/{name}")
        return {"additionalProperties": False, **parts[self.request.__name__]}


def tool(request: type[R], handler: Callable[[Backend, R], Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Make a handler of typed arguments one of JSON."""
    decode = msgspec.json.Decoder(request).decode

    async def run(backend: Backend, arguments: bytes) -> object:
        try:
            given = decode(arguments)
        except UNREADABLE as error:
            raise ToolError(f"The arguments can't be read: {error}") from None
        return await handler(backend, given)

    return run
