"""REST: `/v0`, `/v1`, and `/v2` with its table of operations and the OpenAPI document. Imports no GraphQL."""
