"""The engine under virtual time: no server, no store, no waiting."""
