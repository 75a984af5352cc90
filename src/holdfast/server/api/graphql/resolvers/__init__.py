"""Resolvers of fields, by the part of the schema. Importing a module registers its own."""

from __future__ import annotations

from holdfast.server.api.graphql.resolvers import (
    app_fields,
    debug_fields,
    event_fields,
    figures,
    legacy_fields,
    mutations,
    run_fields,
    trace_fields,
    worker_fields,
)

_MODULES = (
    app_fields,
    debug_fields,
    event_fields,
    figures,
    legacy_fields,
    mutations,
    run_fields,
    trace_fields,
    worker_fields,
)


def register() -> int:
    """Make sure that all resolvers are registered; answers how many modules have some."""
    return len(_MODULES)
