"""Errors of runs without a server."""

from __future__ import annotations

__all__ = ["UnstubbedStepError"]


class UnstubbedStepError(Exception):
    """A step needs a server, and there is no stub for it."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"step {step_id} is not stubbed")
