"""What SQLite says in its own way."""

from __future__ import annotations

import json
from typing import Final

from holdfast.server.store.search import Comparison
from holdfast.server.store.sql.conditions import Condition

_SOURCES: Final = {
    "event": "e.json",
    # A text that is no JSON has no members; JSON functions would raise on it.
    "output": "(CASE WHEN json_valid(r.output) THEN r.output END)",
    "error": (
        "(CASE WHEN r.status = 2 AND json_valid(r.output) THEN"
        " CASE json_type(r.output, '$.error') WHEN 'object' THEN r.output -> '$.error' ELSE r.output END END)"
    ),
}

_EVENT_TEXT: Final = "(e.id = upper(?) OR instr(lower(CAST(e.json AS TEXT)), lower(?)) > 0)"
_RUN_TEXT: Final = (
    "(r.id = upper(?) OR instr(lower(CAST(ifnull(r.output, '') AS TEXT)), lower(?)) > 0 OR r.function_id IN"
    " (SELECT f.id FROM functions f WHERE instr(lower(f.name), lower(?)) > 0"
    " OR instr(lower(f.slug), lower(?)) > 0) OR EXISTS"
    " (SELECT 1 FROM events t WHERE t.id IN (SELECT value FROM json_each(r.event_ids))"
    " AND (t.id = upper(?) OR instr(lower(CAST(t.json AS TEXT)), lower(?)) > 0)))"
)


class SqliteDialect:
    """`holdfast.server.store.sql.reader.Dialect`."""

    ended: str = "+r.status BETWEEN 1 AND 3"  # the sign keeps it from seeking by this where a query names one status
    event_text: str = _EVENT_TEXT
    run_text: str = _RUN_TEXT
    any_event: str = "EXISTS (SELECT 1 FROM events e WHERE e.id IN (SELECT value FROM json_each(r.event_ids)) AND "

    def choice(self, column: str) -> str:
        """Return the condition that a column has one of the values of a JSON array."""
        return f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - columns are ours

    def by_index(self, name: str) -> str:
        """Return what has SQLite read a table by an index."""
        return f" INDEXED BY {name}"

    def or_zero(self, column: str) -> str:
        """Return a column, 0 for NULL."""
        return f"ifnull({column}, 0)"

    def comparison(self, found: Comparison) -> Condition:
        """Return a comparison of a value in JSON with a constant."""
        column = _SOURCES[found.source]
        path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{json.dumps(step)}" for step in found.path)
        operator, constant = found.operator, found.constant
        kind = f"ifnull(json_type({column}, ?), 'null')"
        if operator == "!=":
            equal = self.comparison(Comparison(found.source, found.path, "==", constant))
            return Condition(f"NOT {equal.text}", equal.parameters)
        if constant is None or isinstance(constant, bool):
            text = "null" if constant is None else "true" if constant else "false"
            return Condition(f"({kind} = '{text}')" if operator == "==" else "0", [path] if operator == "==" else [])
        kinds = "('text')" if isinstance(constant, str) else "('integer', 'real')"
        return Condition(
            f"({kind} IN {kinds} AND json_extract({column}, ?) {'=' if operator == '==' else operator} ?)",
            [path, path, constant],
        )
