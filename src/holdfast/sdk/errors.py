"""Errors that the SDK raises, and those that users raise to steer retries. Each has a `code` of the protocol."""

from __future__ import annotations

import datetime as dt
import os
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, cast, runtime_checkable

from holdfast.sdk.consts import ErrorCode

_HERE: Final = f"{Path(__file__).parent}{os.sep}"
_MAX_CHAIN: Final = 10


class Error(Exception):
    """The base of all errors of the SDK."""

    code: ErrorCode = ErrorCode.UNKNOWN
    include_stack: bool = True
    is_retriable: bool = True

    @property
    def message(self) -> str:
        """What went wrong."""
        return str(self)

    @property
    def name(self) -> str:
        """The class that the server is told."""
        return type(self).__name__

    @property
    def stack(self) -> str | None:
        """The traceback as text, if the server gets one."""
        return get_traceback(self) if self.include_stack else None


class CodedError(Error):
    """An error with a code of its own."""

    def __init__(self, code: ErrorCode, message: str, *, is_retriable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.is_retriable = is_retriable


class URLInvalidError(Error):
    """A URL without a scheme, a host or a port that can be used."""

    code = ErrorCode.URL_INVALID


class FunctionConfigInvalidError(Error):
    """A function's options, or the functions of an app, can't be registered."""

    code = ErrorCode.FUNCTION_CONFIG_INVALID


class AsyncUnsupportedError(Error):
    """Something asynchronous was met where nothing can be awaited."""

    code = ErrorCode.ASYNC_UNSUPPORTED


class SigVerificationFailedError(Error):
    """A request's signature does not fit its body, or is too old."""

    code = ErrorCode.SIG_VERIFICATION_FAILED


class BodyInvalidError(Error):
    """A request's body, or the answer of an API, is not what the protocol says."""

    code = ErrorCode.BODY_INVALID


class EventKeyUnspecifiedError(Error):
    """Events can't be sent in cloud mode without an event key."""

    code = ErrorCode.EVENT_KEY_UNSPECIFIED

    def __init__(self, message: str = "event key is missing: set INNGEST_EVENT_KEY or event_key") -> None:
        super().__init__(message)


class FunctionNotFoundError(Error):
    """The server called a function that is not served here."""

    code = ErrorCode.FUNCTION_NOT_FOUND


class HeaderMissingError(Error):
    """A request lacks a header."""

    code = ErrorCode.HEADER_MISSING


class QueryParamMissingError(Error):
    """A request lacks a query parameter."""

    code = ErrorCode.QUERY_PARAM_MISSING


class SigningKeyMissingError(Error):
    """An app can't be served in cloud mode without a signing key."""

    code = ErrorCode.SIGNING_KEY_UNSPECIFIED

    def __init__(self, message: str = "signing key is missing: set INNGEST_SIGNING_KEY or signing_key") -> None:
        super().__init__(message)


class RegistrationFailedError(Error):
    """The server refused an app's functions, or its answer made no sense."""

    code = ErrorCode.REGISTRATION_FAILED


class RequestFailedError(Error):
    """A request to the server's API failed: no connection, or a status of 400 and above (`status`, else None)."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StepUnexpectedError(Error):
    """A run met other steps than the ones that it had planned."""

    code = ErrorCode.STEP_UNEXPECTED
    include_stack = False


class StepNestedError(Error):
    """A step was used inside of another step's body."""

    code = ErrorCode.STEP_NESTED
    is_retriable = False
    # Name and stack that readers of the protocol know: those of the official SDK.
    name = "CodedError"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    @property
    def stack(self) -> str:
        """The class and the text: where the steps stand is the user's to see from their ids."""
        return f"inngest._internal.errors.{self.name}: {self}\n"


class OutputUnserializableError(Error):
    """A function or a step returned what JSON can't hold."""

    code = ErrorCode.OUTPUT_UNSERIALIZABLE
    is_retriable = False


class NonRetriableError(Error):
    """Raise this to fail at once, whatever attempts are left. `quiet` keeps it out of the log."""

    code = ErrorCode.NON_RETRIABLE_ERROR
    is_retriable = False

    def __init__(self, message: str | None = None, quiet: bool = False) -> None:
        super().__init__(message)
        self.quiet = quiet


class RetryAfterError(Error):
    """Raise this to be tried again at a time of your own.

    `retry_after` is given as milliseconds, a timedelta or a datetime, and kept as an aware datetime.
    """

    code = ErrorCode.RETRY_AFTER_ERROR

    def __init__(self, message: str | None, retry_after: int | dt.timedelta | dt.datetime, quiet: bool = False) -> None:
        super().__init__(message)
        if isinstance(retry_after, int):
            retry_after = dt.timedelta(milliseconds=retry_after)
        if isinstance(retry_after, dt.timedelta):
            retry_after = dt.datetime.now(dt.UTC) + retry_after
        self.retry_after: dt.datetime = retry_after.astimezone(dt.UTC)
        self.quiet = quiet


class SendEventsError(Error):
    """Events were not accepted, or not all of them: `ids` are those that were. `status` is the answer's, if any."""

    code = ErrorCode.SEND_EVENT_FAILED

    def __init__(self, message: str, ids: list[str], status: int | None = None) -> None:
        super().__init__(message)
        self.ids = ids
        self.status = status


class StepError(Error):
    """A step, or an invoked function, failed for good.

    If the class of the original error is at hand, what is raised is an instance of both: `except CardDeclined` and
    `except StepError` catch it alike.
    """

    code = ErrorCode.STEP_ERRORED
    is_retriable = False
    _codes: ClassVar[dict[str, ErrorCode]] = {"NonRetriableError": ErrorCode.NON_RETRIABLE_ERROR}

    def __init__(self, message: str, name: str, stack: str | None) -> None:
        Exception.__init__(self, message)
        self._message = message
        self._name = name
        self._stack = stack
        self.code = self._codes.get(name, ErrorCode.STEP_ERRORED)

    @property
    def message(self) -> str:
        """The original error's message."""
        return self._message

    @property
    def name(self) -> str:
        """The original error's class name."""
        return self._name

    @property
    def stack(self) -> str | None:
        """The original error's traceback."""
        return self._stack

    def __str__(self) -> str:
        return self._message

    def matches(self, *classes: type[BaseException]) -> bool:
        """Whether the original error was of one of these classes, by the name of the class."""
        return isinstance(self, classes) or self._name in {each.__name__ for each in classes}


class _BothMixin(StepError):
    """What is raised where the original class is known."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (step_error, (self._message, self._name, self._stack, self.__dict__.get("_path")))


def step_error(message: str, name: str, stack: str | None, path: str | None = None) -> StepError:
    """Make the error of a failed step; `path` is `module:qualified name` of the original class, if it was reported."""
    original = _find_class(path, name) if path else None
    if original is None:
        return StepError(message, name, stack)
    error = cast("Any", _both)(original)(message, name, stack)
    assert isinstance(error, StepError)
    error.__dict__["_path"] = path
    return error


def class_path(error: BaseException) -> str:
    """Return `module:qualified name` of an error's class."""
    return f"{type(error).__module__}:{type(error).__qualname__}"


def _find_class(path: str, name: str) -> type[Exception] | None:
    """Find a class among what is imported already: the server must not cause imports."""
    module, _, qualified = path.partition(":")
    found: object = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, Exception) and found.__name__ == name:
        return None if issubclass(found, Error) and found is not NonRetriableError else found
    return None


@lru_cache(maxsize=512)
def _both(original: type[Exception]) -> type[StepError]:
    try:
        return type("StepError", (_BothMixin, original), {"__init__": StepError.__init__, "__module__": __name__})
    except TypeError:  # layouts or metaclasses that don't go together
        return StepError


@runtime_checkable
class _Quietable(Protocol):
    quiet: bool


def is_retriable(error: BaseException) -> bool:
    """Whether an error leaves the run its other attempts."""
    return error.is_retriable if isinstance(error, Error) else True


def is_quiet(error: BaseException) -> bool:
    """Whether an error is to be kept out of the log."""
    return isinstance(error, _Quietable) and error.quiet


def get_traceback(error: BaseException) -> str:
    """Return an error's traceback as Python prints it, without the SDK's own frames."""
    found = traceback.TracebackException.from_exception(error)
    _keep_user_frames(found)
    return "".join(found.format())


def _keep_user_frames(shown: traceback.TracebackException | None, depth: int = 0) -> None:
    if shown is None or depth > _MAX_CHAIN:
        return
    kept = [frame for frame in shown.stack if not frame.filename.startswith(_HERE)]
    shown.stack = traceback.StackSummary.from_list(kept)
    _keep_user_frames(shown.__cause__, depth + 1)
    _keep_user_frames(shown.__context__, depth + 1)


def error_object(error: BaseException) -> dict[str, Any]:
    """Return `{"code","message","name","stack"}` of an error, with the chain of its causes under `cause`."""
    found: dict[str, Any] = _described(error)
    if error.__cause__ is not None and not isinstance(error, StepError):
        found["cause"] = _cause(error.__cause__)
    return found


def _described(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Error):
        return {"code": error.code.value, "message": error.message, "name": error.name, "stack": error.stack}
    name = type(error).__name__
    return {"code": ErrorCode.UNKNOWN.value, "message": str(error), "name": name, "stack": get_traceback(error)}


def _cause(error: BaseException, depth: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = {"message": str(error), "name": type(error).__name__}
    if error.__cause__ is not None and depth < _MAX_CHAIN:
        found["cause"] = _cause(error.__cause__, depth + 1)
    return found
