"""What PostgreSQL says in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.server.store.search import Comparison
from holdfast.server.store.sql.conditions import Condition

if TYPE_CHECKING:
    from holdfast.server.store.sql.reader import Scalar

_OUTPUT: Final = "{schema}.json_of(r.output)"
_SOURCES: Final = {
    "event": "{schema}.json_of(e.json)",
    "output": _OUTPUT,
    "error": (
        f"(CASE WHEN r.status = 2 THEN CASE jsonb_typeof({_OUTPUT} -> 'error')"
        f" WHEN 'object' THEN {_OUTPUT} -> 'error' ELSE {_OUTPUT} END END)"
    ),
}

_ID: Final = "upper(?::text)"
_TEXT: Final = 'lower(?::text COLLATE "C")'
_EVENT_TEXT: Final = f'(e.id = {_ID} OR strpos(lower(e.json COLLATE "C"), {_TEXT}) > 0)'
_RUN_TEXT: Final = (
    f"(r.id = {_ID} OR strpos(lower(coalesce(r.output, '') COLLATE \"C\"), {_TEXT}) > 0 OR r.function_id IN"  # noqa: S608 - texts of ours
    f" (SELECT f.id FROM {{schema}}.functions f WHERE strpos(lower(f.name), {_TEXT}) > 0"
    f" OR strpos(lower(f.slug), {_TEXT}) > 0) OR EXISTS"
    " (SELECT 1 FROM {schema}.events t WHERE t.id IN (SELECT jsonb_array_elements_text(r.event_ids::jsonb))"
    f' AND (t.id = {_ID} OR strpos(lower(t.json COLLATE "C"), {_TEXT}) > 0)))'
)


class PostgresDialect:
    """`holdfast.server.store.sql.reader.Dialect`."""

    ended: str = "r.status BETWEEN 1 AND 3"
    event_text: str = _EVENT_TEXT
    run_text: str = _RUN_TEXT
    any_event: str = (
        "EXISTS (SELECT 1 FROM {schema}.events e"
        " WHERE e.id IN (SELECT jsonb_array_elements_text(r.event_ids::jsonb)) AND "
    )

    def choice(self, column: str) -> str:
        """Return the condition that a column has one of the values of an array."""
        return f"{column} = ANY(?)"

    def by_index(self, name: str) -> str:  # noqa: ARG002 - the planner knows
        """Return nothing: the planner finds the index."""
        return ""

    def or_zero(self, column: str) -> str:
        """Return a column, 0 for NULL."""
        return f"coalesce({column}, 0)"

    def comparison(self, found: Comparison) -> Condition:
        """Return a comparison of a value in JSON with a constant."""
        column = _SOURCES[found.source]
        path: list[Scalar] = [_path(found)]
        operator, constant = found.operator, found.constant
        kind = f"coalesce(jsonb_typeof({column} #> ?::text::text[]), 'null')"
        if operator == "!=":
            equal = self.comparison(Comparison(found.source, found.path, "==", constant))
            return Condition(f"NOT {equal.text}", equal.parameters)
        sign = "=" if operator == "==" else operator
        if constant is None:
            return Condition(f"({kind} = 'null')", path) if operator == "==" else Condition("(1 = 0)", [])
        if isinstance(constant, bool):
            if operator != "==":
                return Condition("(1 = 0)", [])
            truth = "true" if constant else "false"
            return Condition(f"coalesce({column} #> ?::text::text[] = '{truth}'::jsonb, false)", path)
        value = f"({column} #>> ?::text::text[])"
        if isinstance(constant, str):
            test = f'{value} COLLATE "C" {sign} ?'
            return Condition(f"(CASE {kind} WHEN 'string' THEN {test} ELSE false END)", [*path, *path, constant])
        test = f"{value}::numeric {sign} ?::text::numeric"
        return Condition(f"(CASE {kind} WHEN 'number' THEN {test} ELSE false END)", [*path, *path, repr(constant)])


def _path(found: Comparison) -> str:
    """Return a path as the literal of an array of texts."""
    quoted = (str(step).replace("\\", "\\\\").replace('"', '\\"') for step in found.path)
    return "{" + ",".join(f'"{step}"' for step in quoted) + "}"
