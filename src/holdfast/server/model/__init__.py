"""Domain values: plain structs that engine, store and APIs share."""
