"""A statement with its rows, which joins a commit."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.server.store.store import Write

Value = str | int | float | bytes | None
"""What a column can hold."""


class Statement(Write, frozen=True):
    """A statement by its name, `<file>.<section>`, with the parameters of each row.

    It would fail its commit whole: only statements that no value can make fail belong here (`INSERT OR REPLACE`,
    `OR IGNORE`, `UPDATE`, `DELETE`).
    """

    name: str
    rows: Sequence[tuple[Value, ...]]
