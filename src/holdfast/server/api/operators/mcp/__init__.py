"""`/mcp`: the server's operations as tools for agents (`protocol/http-apis.md` §11)."""
