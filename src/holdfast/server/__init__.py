"""The Holdfast server: engine, store, runtime and APIs."""
