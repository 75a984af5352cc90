"""The MCP server: its tools are the operations of REST v2 that have a tool's name, and those of `tools`.

Imported at the first request to `/mcp`: the library behind it takes longer to load than everything else together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import mcp_types as types
import msgspec
import structlog
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from holdfast.protocol.limits import MAX_EVENT
from holdfast.server.access.commands import ForbiddenError, check
from holdfast.server.access.policy import rule_of
from holdfast.server.api.operators.mcp.tool import Tool, ToolError
from holdfast.server.api.operators.mcp.tools import TOOLS
from holdfast.server.api.operators.operation_list import declared, tool_of
from holdfast.server.api.rest.v2.catalogue import OPERATIONS
from holdfast.server.api.rest.v2.envelope import RefusalError
from holdfast.server.api.rest.v2.operation import Operation, renamed
from holdfast.server.engine.engine import DefectError
from holdfast.server.store.history import TooSlowError
from holdfast.server.store.store import StoreError

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from holdfast.server.api.common.backend import Backend

log = structlog.get_logger(__name__)

_INSTRUCTIONS: Final = (
    "Tools of a Holdfast server, which runs durable functions. Start with get_apps and list_functions; send_event and"
    " invoke_function start runs, get_run and get_run_trace return its state. grep_docs and read_doc explain how it"
    " works."
)
_OPERATIONS: Final = {operation.tool: operation for operation in OPERATIONS if operation.tool}
_TOOLS: Final = {tool.name: tool for tool in TOOLS}


def session_manager(backend: Backend, version: str) -> StreamableHTTPSessionManager:
    """Return what answers requests: each for itself, with JSON."""
    tools = _Tools(backend)
    server: Server[dict[str, Any]] = Server(
        "holdfast", version=version, title="Holdfast", instructions=_INSTRUCTIONS, on_list_tools=tools.list,
        on_call_tool=tools.call,
    )  # fmt: skip
    return StreamableHTTPSessionManager(server, json_response=True, stateless=True, max_request_body_size=MAX_EVENT)


class _Tools:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def list(
        self, _context: ServerRequestContext[dict[str, Any]], _page: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return all tools."""
        known = [*map(tool_of, _OPERATIONS.values()), *map(declared, TOOLS)]
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in known])

    async def call(
        self, _context: ServerRequestContext[dict[str, Any]], call: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """One call of a tool, on behalf of whoever made the request."""
        arguments = cast("dict[str, object]", call.arguments or {})
        try:
            if call.name in _OPERATIONS:
                return _result(await _operate(self._backend, _OPERATIONS[call.name], arguments))
            if call.name in _TOOLS:
                return _result(await _use(self._backend, _TOOLS[call.name], arguments))
        except (ToolError, ForbiddenError) as error:
            return _failure(str(error))
        except StoreError:
            return _failure("The change could not be stored; nothing was done. Try again")
        except RefusalError as refusal:
            return _failure(f"{refusal.status}: {refusal.document().decode()}")
        except TooSlowError as error:
            return _failure(str(error))
        except Exception as error:  # the library would send its text
            if not isinstance(error, DefectError):  # the partition told of that
                log.error("a tool failed", tool=call.name, exc_info=error)
            return _failure("The call could not be handled, see the server's log")
        return _failure(f"There is no tool {call.name}")


async def _operate(backend: Backend, operation: Operation, arguments: dict[str, object]) -> bytes:
    rule = rule_of(f"/api/v2{operation.template}")
    check(rule.read if operation.reads else rule.write)
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in arguments.items()}
    answer = await operation.run(backend, renamed(fields, operation.request))
    return answer.document(backend.now_ms())


async def _use(backend: Backend, tool: Tool, arguments: dict[str, object]) -> bytes:
    check(tool.role)
    return msgspec.json.encode(await tool.run(backend, msgspec.json.encode(arguments)))


def _result(body: bytes) -> types.CallToolResult:
    text = types.TextContent(type="text", text=body.decode("utf-8", "replace"))
    return types.CallToolResult(content=[text], structured_content=json.loads(body))


def _failure(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)
