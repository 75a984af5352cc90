"""What can go wrong in a test, each with a text that says what to look at."""

from __future__ import annotations


class TestingError(AssertionError):
    """The base of all errors of this package: a test that meets one fails."""

    __test__ = False


class NoRunError(TestingError):
    """An event started no run."""


class NotEndedError(TestingError):
    """A run has not ended, or would not end: the text says what it waits for."""


class RunFailedError(TestingError):
    """The output was asked for of a run that failed or was cancelled."""


class NotDeterministicError(TestingError):
    """A function did something else when a call was repeated with the same steps."""


class NoStepError(TestingError, KeyError):
    """A run has no step of a name; the text lists those that it has."""

    def __str__(self) -> str:
        """Return the text as it is: a KeyError would quote it."""
        return str(self.args[0]) if self.args else ""


class StalledError(TestingError):
    """User code did not return within the real time that a test has for it."""
