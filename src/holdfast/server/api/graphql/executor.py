"""Execution by graphql-core, but for plain selections (`projection`), which it would take ten times as long for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphql import execute as _execute  # pyright: ignore[reportUnknownVariableType] - type arguments are left out

from holdfast.server.api.graphql.projection import Projector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from graphql import DocumentNode, ExecutionResult, GraphQLObjectType, GraphQLSchema

    from holdfast.server.api.graphql.loaders import Context


def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    context: Context,
    variables: dict[str, object] | None,
    operation_name: str | None,
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """Execute an operation; the answer is graphql-core's in all."""
    return _execute(
        schema,
        document,
        context_value=context,
        variable_values=variables,
        operation_name=operation_name,
        **_OPTIONS,
    )


def _options() -> dict[str, Any]:
    try:
        from graphql.execution import Executor  # noqa: PLC0415 - not there in 3.2, which does without projections
    except ImportError:
        return {}

    class ProjectingExecutor(Executor[Any]):
        _projector: Projector | None = None

        def complete_object_value(
            self, return_type: GraphQLObjectType, field_details_list: Any, info: Any, path: Any, result: Any,
            position_context: Any,
        ) -> Any:  # fmt: skip
            projector = self._projector
            if projector is None:
                projector = self._projector = Projector(self._fields_of, self.context_value.budget)
            read = projector.projection(return_type, field_details_list)
            if read is not None:
                try:
                    return read(result)
                except Exception:  # noqa: BLE001, S110 - graphql-core comes to the same error, and tells of its place
                    pass
            return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

        def _fields_of(self, kind: GraphQLObjectType, places: Any) -> Mapping[str, Sequence[Any]]:
            return self.collect_subfields(kind, places).grouped_field_set

    return {"executor_class": ProjectingExecutor}


_OPTIONS: Final = _options()
