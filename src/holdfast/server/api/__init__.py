"""The HTTP surface: thin."""
