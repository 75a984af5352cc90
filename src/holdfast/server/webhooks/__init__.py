"""Webhooks as sources of events: requests of other services, turned into events by an expression."""
