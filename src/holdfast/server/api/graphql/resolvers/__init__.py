"""Resolvers of fields, by the part of the schema. Importing a module registers its own."""

from __future__ import annotations

from holdfast.server.api.graphql.resolvers import apps, debug, events, figures, legacy, mutations, runs, traces, workers

_MODULES = (apps, debug, events, figures, legacy, mutations, runs, traces, workers)


def register() -> int:
    """Make sure that all resolvers are registered; answers how many modules have some."""
    return len(_MODULES)
