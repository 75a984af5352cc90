"""REST v2, `/api/v2` = `/v2` (`protocol/http-apis.md` §10): one table of operations, from which everything is made.

An operation is a request struct (members of path, query and body together), a handler and the type of its answer. HTTP
routes, the catalogue, the OpenAPI document, MCP tools and `holdfast api` are all read off the same table.
"""
