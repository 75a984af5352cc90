"""Execution of GraphQL texts: parsing and validation once per text, statuses and error texts of the reference."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from graphql import (
    DocumentNode,
    EnumValueNode,
    ExecutionResult,
    GraphQLEnumType,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    ValidationRule,
    get_named_type,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values
from graphql.validation import ASTValidationRule

from holdfast.protocol.limits import GQL_SECONDS, GQL_TEXT, GQL_TOKENS
from holdfast.server.access.commands import ForbiddenError
from holdfast.server.api.common.error_bodies import not_stored
from holdfast.server.api.graphql import executable_schema, resolvers
from holdfast.server.api.graphql.budget import CostError, OverrunError, estimate, measure
from holdfast.server.api.graphql.executor import execute
from holdfast.server.api.graphql.loaders import Context
from holdfast.server.store.history import TooSlowError
from holdfast.server.store.store import StoreError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from holdfast.server.api.common.backend import Backend

Body = dict[str, object]

_DOCUMENTS: Final = 1_000
_PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
_INVALID: Final = "GRAPHQL_VALIDATION_FAILED"
_COMPLEX: Final = "COMPLEXITY_LIMIT_EXCEEDED"
_SLOW: Final = "TIMEOUT"
_QUOTED: Final = re.compile(r"'([^']*)'")
_ARGUMENT: Final = re.compile(r'^Argument "\w+\.(\w+)\((\w+):\)"')  # graphql-core 3.3's way to name one

_log = structlog.get_logger(__name__)


class _EnumError(GraphQLError):
    """An unknown enum value, in the reference's words."""


class _UnknownEnumValueRule(ValidationRule):
    """Reports unknown enum values, as the standard rule does in other words."""

    def enter_enum_value(self, node: EnumValueNode, *_args: object) -> None:
        # graphql-core leaves type arguments out
        expected = self.context.get_input_type()  # pyright: ignore[reportUnknownVariableType]
        named = get_named_type(expected)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if isinstance(named, GraphQLEnumType) and node.value not in named.values:
            self.report_error(_EnumError(f'Value "{node.value}" does not exist in "{expected}" enum.', node))


_RULES: Final[tuple[type[ASTValidationRule], ...]] = (_UnknownEnumValueRule, *specified_rules)


class _Document(NamedTuple):
    node: DocumentNode | None
    errors: list[Body]


class GraphQLService:
    """The schema, bound to a backend."""

    def __init__(self, backend: Backend) -> None:
        resolvers.register()
        self._backend = backend
        self._schema = executable_schema.build()
        self._document = lru_cache(_DOCUMENTS)(self._read)

    async def execute(
        self, text: str, variables: dict[str, object] | None, operation_name: str | None, *, read_only: bool,
        home: AbstractEventLoop,
    ) -> tuple[int, Body]:  # fmt: skip
        """Execute a text; answers the HTTP status and the body. `home` is the loop that the backend lives on."""
        if not text:
            return 422, _failed([_error("no operation provided", _INVALID)])
        if len(text) > GQL_TEXT:
            message = f"the document has {len(text)} characters, which exceeds the limit of {GQL_TEXT}; use variables"
            return 422, _failed([_error(message, _COMPLEX)])
        document = self._document(text)
        if document.node is None:
            return 422, _failed(document.errors)
        operation = _operation(document.node, operation_name)
        if operation is None:
            return 422, _failed([_error(f"operation {operation_name or ''} not found", _INVALID)])
        if read_only and operation.operation is not OperationType.QUERY:
            return 406, _failed([{"message": "GET requests only allow query operations"}])
        if problems := self._variable_problems(operation, variables or {}):
            return 422, _failed(problems)
        try:
            estimate(self._schema, document.node, operation, variables or {})
            async with asyncio.timeout(GQL_SECONDS):
                return 200, await self._run(document.node, variables, operation_name, home)
        except CostError as error:
            return 422, _failed([_error(str(error), _COMPLEX)])
        except OverrunError as error:
            return 422, _failed([_error(str(error), _COMPLEX)])
        except TimeoutError:
            return 503, _failed([_error(f"the response took longer than {GQL_SECONDS:g} seconds: ask for less", _SLOW)])

    async def _run(
        self, node: DocumentNode, variables: dict[str, object] | None, name: str | None, home: AbstractEventLoop
    ) -> Body:
        context = Context(self._backend, home)
        try:
            found = execute(self._schema, node, context, variables, name or None)
            result = found if isinstance(found, ExecutionResult) else await found
        finally:
            context.forget()
        body: Body = {"errors": [_resolver_error(error) for error in result.errors]} if result.errors else {}
        body["data"] = result.data
        return body

    def _read(self, text: str) -> _Document:
        try:
            node = parse(text, max_tokens=GQL_TOKENS)
            measure(node)
        except GraphQLSyntaxError as error:
            return _Document(None, [_located(error, _PARSE_FAILED)])
        except RecursionError:
            return _Document(None, [_error("the document is nested too deeply", _COMPLEX)])
        except CostError as error:
            return _Document(None, [_error(str(error), _COMPLEX)])
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode) and definition.operation is OperationType.SUBSCRIPTION:
                message = 'Schema does not support operation type "subscription"'
                return _Document(None, [_located(GraphQLError(message, definition), _INVALID)])
        found = [_located(error, _INVALID) for error in _first_of_each(validate(self._schema, node, _RULES))]
        return _Document(None if found else node, found)

    def _variable_problems(self, operation: OperationDefinitionNode, given: dict[str, object]) -> list[Body]:
        definitions = operation.variable_definitions or ()
        problems: list[Body] = []
        for definition in definitions:
            name = definition.variable.name.value
            coerced = get_variable_values(self._schema, [definition], given)
            if isinstance(coerced, list):
                message = "must be defined" if given.get(name) is None else coerced[0].message
                problems.append({**_error(message, _INVALID), "path": ["variable", name]})
        return problems


def _first_of_each(errors: list[GraphQLError]) -> list[GraphQLError]:
    """One error of each place, in order: our own words before the standard ones."""
    first: dict[str, GraphQLError] = {}
    for error in errors:
        place = str(error.locations)
        if place not in first or isinstance(error, _EnumError):
            first[place] = error
    return list(first.values())


def _operation(node: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    found = [definition for definition in node.definitions if isinstance(definition, OperationDefinitionNode)]
    if name:
        found = [operation for operation in found if operation.name and operation.name.value == name]
    return found[0] if len(found) == 1 else None


def _failed(errors: list[Body]) -> Body:
    return {"errors": errors, "data": None}


def _error(message: str, code: str) -> Body:
    return {"message": message, "extensions": {"code": code}}


def _located(error: GraphQLError, code: str) -> Body:
    message = error.message
    if isinstance(error, GraphQLSyntaxError):
        message = message.removeprefix("Syntax Error: ").removesuffix(".")
    message = _ARGUMENT.sub(r'Field "\1" argument "\2"', _QUOTED.sub(r'"\1"', message))
    located: Body = {"message": message}
    if error.locations:
        located["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    located["extensions"] = {"code": code}
    return located


def _resolver_error(error: GraphQLError) -> Body:
    message = error.message
    if isinstance(error.original_error, ForbiddenError):
        return {"message": message, "path": list(error.path or ()), "extensions": {"code": "FORBIDDEN"}}
    if isinstance(error.original_error, StoreError):
        text = not_stored(error.original_error)
        return {"message": text, "path": list(error.path or ()), "extensions": {"code": "UNAVAILABLE"}}
    if isinstance(error.original_error, TooSlowError):
        return {"message": message, "path": list(error.path or ()), "extensions": {"code": "TOO_SLOW"}}
    if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
        _log.error("graphql resolver failed", path=error.path, exc_info=error.original_error)
        message = "internal system error"
    body: Body = {"message": message}
    if error.path:
        body["path"] = list(error.path)
    return body
