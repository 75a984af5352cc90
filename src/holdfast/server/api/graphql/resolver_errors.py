"""Errors of resolvers: the texts that clients know."""

from __future__ import annotations

from typing import NoReturn

from graphql import GraphQLError

NO_ROWS = "sql: no rows in result set"


def fail(message: str) -> NoReturn:
    """End a resolver with an error that the client sees."""
    raise GraphQLError(message)
