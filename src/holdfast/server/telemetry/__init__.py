"""Telemetry: metadata and spans that user code sends in, traces of runs that are sent out."""
