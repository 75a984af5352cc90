"""Deterministic simulation: random programs and random faults, all from one integer."""
