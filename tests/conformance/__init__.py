"""Conformance suites: the official SDKs against a running Holdfast server process."""
