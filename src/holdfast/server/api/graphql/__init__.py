"""GraphQL at `/v0/gql` (`protocol/graphql.md`).

Nothing here imports graphql-core before the first request: a server starts faster than that library loads.
"""

from __future__ import annotations

from holdfast.server.api.graphql.transport import GraphQLApi

__all__ = ["GraphQLApi"]
