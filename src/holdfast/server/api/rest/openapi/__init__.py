"""The OpenAPI document of the server, made of the tables and structs that its routes use."""
