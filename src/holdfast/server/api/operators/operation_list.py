"""`GET /api/v2/operations`: what is offered over HTTP, on the command line and by MCP (`protocol/http-apis.md` §11)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.api.rest.v2.catalogue import OPERATIONS
from holdfast.server.api.rest.v2.json_schemas import Schema, input_schema
from holdfast.server.api.rest.v2.operation_routes import PREFIXES

if TYPE_CHECKING:
    from starlette.requests import Request

    from holdfast.server.api.operators.mcp.tool import Tool
    from holdfast.server.api.rest.v2.operation import Operation

_HEADERS: Final = {
    "access-control-allow-origin": "*",
    "cache-control": "public, max-age=300, stale-while-revalidate=3600",
}


def routes() -> list[ApiRoute]:
    """Return the routes of this module; they come before those of the API itself."""
    return [ApiRoute(f"{prefix}/operations", _show, methods=["GET"]) for prefix in PREFIXES]


async def _show(_request: Request) -> Response:
    return Response(_document(), headers=_HEADERS, media_type="application/json")


@cache
def _document() -> bytes:
    from holdfast.server.api.operators.mcp.tools import TOOLS  # noqa: PLC0415 - a start doesn't wait for it

    offered = [_operation(each) for each in OPERATIONS if each.command or each.tool]
    return msgspec.json.encode({"data": {"operations": [*offered, *(_tool_alone(tool) for tool in TOOLS)]}})


def _operation(operation: Operation) -> Schema:
    shown: Schema = {
        "id": operation.id, "summary": operation.summary, "description": operation.description,
        "http": {"method": operation.method, "path": operation.template},
    }  # fmt: skip
    if operation.command:
        shown["cli"] = {"command": operation.command}
    if operation.tool:
        shown["mcp"] = tool_of(operation)
    return shown


def tool_of(operation: Operation) -> Schema:
    """Return the declaration of an operation's tool."""
    return {
        "name": operation.tool, "title": operation.summary, "description": operation.description,
        "inputSchema": input_schema(operation), "annotations": _hints(reads=operation.reads),
    }  # fmt: skip


def _hints(*, reads: bool) -> Schema:
    """Return what a client may think of a tool before it calls it."""
    if reads:
        return {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    return {"destructiveHint": True, "openWorldHint": False}


def declared(tool: Tool) -> Schema:
    """The declaration of a tool that is no operation."""
    return {
        "name": tool.name, "title": tool.title, "description": tool.description, "inputSchema": tool.schema(),
        "annotations": _hints(reads=tool.reads),
    }  # fmt: skip


def _tool_alone(tool: Tool) -> Schema:
    return {"id": f"mcp.{tool.name}", "summary": tool.title, "description": tool.description, "mcp": declared(tool)}
