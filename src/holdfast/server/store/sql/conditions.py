"""Conditions of queries, with their parameters in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from holdfast.server.store.sql.reader import Dialect, Parameter, Scalar


class Query(NamedTuple):
    """A statement with its parameters."""

    text: str
    parameters: tuple[Parameter, ...]


class Condition:
    """A text with its parameters."""

    __slots__ = ("parameters", "text")

    def __init__(self, text: str, parameters: list[Scalar]) -> None:
        self.text = text
        self.parameters = parameters


class Conditions:
    """Conditions that must all hold."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._texts: list[str] = []
        self.parameters: list[Parameter] = []

    @property
    def text(self) -> str:
        """All conditions joined."""
        return " AND ".join(self._texts) or "1 = 1"

    def add(self, text: str, *parameters: Parameter) -> None:
        """One more."""
        self._texts.append(text)
        self.parameters.extend(parameters)

    def add_choice(self, column: str, values: Iterable[str] | Iterable[int]) -> None:
        """The column has one of the values."""
        self.add(self.dialect.choice(column), list(values))  # type: ignore[arg-type]
