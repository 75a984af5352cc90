"""The store in PostgreSQL (docs/adr/0027)."""
