"""Requests and answers of a handler, whatever framework they come from and go to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.sdk import errors
from holdfast.sdk import typed as json
from holdfast.sdk.consts import ErrorCode, HeaderKey
from holdfast.sdk.logs import log
from holdfast.sdk.memos import UNSET
from holdfast.sdk.signatures import sign_response
from holdfast.sdk.timing import to_iso_utc
from holdfast.sdk.timings import ServerTimings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from logging import Logger

    from holdfast.sdk.execution import CallResult


@dataclasses.dataclass
class CommRequest:
    """A request as a framework got it. Header names may be in any case; values of repeated ones may be lists."""

    body: bytes
    headers: Mapping[str, Any]
    query_params: Mapping[str, Any]
    raw_request: object
    request_url: str
    public_path: str | None = None
    serve_origin: str | None = None
    serve_path: str | None = None
    is_connect: bool = False
    timings: ServerTimings = dataclasses.field(default_factory=ServerTimings)

    def normalize(self) -> None:
        """Bring header names into lower case, and take the first of repeated values."""
        self.headers = {name.lower(): _first(value) for name, value in self.headers.items()}
        self.query_params = {name: _first(self.query_params[name]) for name in self.query_params}


def _first(value: Any) -> str:
    found = value
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        found = items[0] if items else ""
    return found.decode() if isinstance(found, bytes) else str(found)


@dataclasses.dataclass
class CommResponse:
    """An answer: JSON that is encoded already, or a stream of pieces."""

    content: bytes = b"null"
    status_code: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    stream: Callable[[], AsyncIterator[bytes]] | None = None
    include_inngest_headers: bool = True

    def sign(self, key: str) -> None:
        """Sign what is sent."""
        self.headers[HeaderKey.SIGNATURE.value] = sign_response(self.content, key)


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> CommResponse:
    """Answer with JSON."""
    return CommResponse(json.encode(body), status, headers or {})


def error_response(logger: Logger, error: Exception, status: int = 500) -> CommResponse:
    """Answer with the code, name and text of an error, and log it."""
    code = error.code.value if isinstance(error, errors.Error) else ErrorCode.UNKNOWN.value
    if not errors.is_quiet(error):
        log(logger, "error", f"{code}: {error}")
    headers = {HeaderKey.CONTENT_TYPE.value: "application/json"}
    if not errors.is_retriable(error):
        headers[HeaderKey.NO_RETRY.value] = "true"
    body = {"code": code, "message": str(error), "name": type(error).__name__}
    return CommResponse(json.encode(body), status, headers)


def unauthorized(logger: Logger, error: Exception) -> CommResponse:
    """Refuse a request, without telling who answers."""
    log(logger, "error", f"unauthorized: {error}")
    headers = {HeaderKey.CONTENT_TYPE.value: "application/json"}
    return CommResponse(b'{"message": "Unauthorized"}', 401, headers, include_inngest_headers=False)


def call_response(result: CallResult, *, strict: bool) -> CommResponse:
    """Answer with what a call gave; raise OutputUnserializableError if it is no JSON."""
    if result.multi is not None:
        items = [step_object(item, typed=not strict) for item in result.multi]
        headers = _retry_headers([item.error for item in result.multi if item.error is not None])
        return CommResponse(json.encode(items), 206, headers)
    if result.error is not None:
        return CommResponse(json.encode(errors.error_object(result.error)), 500, _retry_headers([result.error]))
    return CommResponse(_encoded(result.output, "returned unserializable data", strict=strict))


def step_object(result: CallResult, *, typed: bool) -> dict[str, Any]:
    """Return what is reported of a step."""
    info = result.step
    assert info is not None
    found: dict[str, Any] = {
        "displayName": info.display_name,
        "id": info.id,
        "name": info.name,
        "op": info.op.value,
        "opts": info.opts,
        "userland": info.userland,
    }
    if result.error is not None:
        found["error"] = {**errors.error_object(result.error), "data": {"class": errors.class_path(result.error)}}
    if result.output is not UNSET:
        message = f'"{info.display_name}" returned unserializable data'
        found["data"] = msgspec.Raw(_encoded(result.output, message, strict=not typed))
    if info.metadata is not None:
        found["metadata"] = info.metadata
    if result.timing is not None:
        found["timing"] = {"a": result.timing[0], "b": result.timing[1]}
    return found


def _encoded(output: object, message: str, *, strict: bool) -> bytes:
    if output is UNSET:
        return b"null"
    try:
        return json.encode(output, typed=not strict)
    except errors.OutputUnserializableError as error:
        raise errors.OutputUnserializableError(message) from error


def _retry_headers(found: list[Exception]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for error in found:
        if not errors.is_retriable(error):
            headers[HeaderKey.NO_RETRY.value] = "true"
        if isinstance(error, errors.RetryAfterError):
            headers[HeaderKey.RETRY_AFTER.value] = to_iso_utc(error.retry_after)
    return headers
