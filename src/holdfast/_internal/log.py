"""The logger that functions get."""

from holdfast.sdk.logs import RunLogger as FilteredLogger

__all__ = ["FilteredLogger"]
