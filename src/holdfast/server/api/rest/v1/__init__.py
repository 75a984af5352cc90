"""REST `/v1`: runs and events, functions, cancellations, and why a run waits."""
