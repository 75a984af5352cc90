"""The codec of OTLP/HTTP: export requests in protobuf or JSON, and the answers to them.

JSON is read by hand: OTLP writes ids in hex, where protobuf's own JSON mapping would have base64.
"""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.protobuf import varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
OK: Final = 1
ERROR: Final = 2

_TRACE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SPAN: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_MOST_NESTED: Final = 32
_MAX_TIME: Final = 2**63 - 1


class OtlpError(Exception):
    """A request can't be read."""


class TooLargeError(Exception):
    """A request is larger than its route takes, once it is unpacked."""


class OtlpEvent(msgspec.Struct, frozen=True):
    """Something that happened at a moment of a span; `time` in ns since the epoch."""

    time: int
    name: str
    attributes: dict[str, object]


class OtlpSpan(msgspec.Struct, frozen=True):
    """A span as sent. Ids are hex, times are ns since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int
    status: int
    message: str
    attributes: dict[str, object]
    events: list[OtlpEvent]
    resource: dict[str, object]
    scope_name: str
    scope_version: str

    @property
    def whole(self) -> bool:
        """Whether its ids and times are such as a span has."""
        return bool(
            _TRACE.fullmatch(self.trace_id)
            and _SPAN.fullmatch(self.span_id)
            and 0 < self.start <= self.end <= _MAX_TIME
        )


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """Return a body without its content encoding. Raises OtlpError, or TooLargeError above `most` bytes."""
    if encoding in {"", "identity"}:
        plain = body
    elif encoding == "gzip":
        unzip = zlib.decompressobj(wbits=31)
        try:
            plain = unzip.decompress(body, most + 1)
        except zlib.error as error:
            raise OtlpError(f"not gzip: {error}") from None
        if len(plain) <= most and not unzip.eof:
            raise OtlpError("not gzip: it ends too early")
    else:
        raise OtlpError(f"the content encoding {encoding} is not supported; send gzip or none")
    if len(plain) > most:
        raise TooLargeError
    return plain


def decode(body: bytes, *, json: bool) -> list[OtlpSpan]:
    """Return the spans of an `ExportTraceServiceRequest`. Raises OtlpError."""
    return list(_from_json(body) if json else _from_protobuf(body))


def encode_response(rejected: int, message: str, *, json: bool) -> bytes:
    """Return an `ExportTraceServiceResponse`, with what was rejected and why."""
    if json:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return msgspec.json.encode({"partialSuccess": partial} if rejected else {})
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: PLC0415 - slow to import

    response = service.ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    return response.SerializeToString()


def encode_status(message: str, *, json: bool) -> bytes:
    """Return a `google.rpc.Status` that says what went wrong."""
    if json:
        return msgspec.json.encode({"message": message})
    text = message.encode()
    return b"\x12" + varint(len(text)) + text  # field 2 of a message that the SDKs' packages don't carry


def zipped(body: bytes) -> bytes:
    """Return a body with content encoding gzip."""
    return gzip.compress(body, compresslevel=5)


# --- protobuf ---------------------------------------------------------------------------------------------------------


def _from_protobuf(body: bytes) -> Iterator[OtlpSpan]:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - slow to import
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: PLC0415 - as above

    try:
        request = service.ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise OtlpError(str(error)) from None
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield OtlpSpan(
                    span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, span.kind,
                    span.start_time_unix_nano, span.end_time_unix_nano, span.status.code, span.status.message,
                    _attributes(span.attributes),
                    [OtlpEvent(one.time_unix_nano, one.name, _attributes(one.attributes)) for one in span.events],
                    resource, scoped.scope.name, scoped.scope.version,
                )  # fmt: skip


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _any(pair.value) for pair in pairs}


def _any(value: AnyValue) -> object:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "array_value":
            return [_any(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case _:
            return None


# --- JSON -------------------------------------------------------------------------------------------------------------


class _Json(msgspec.Struct, rename="camel", frozen=True):
    pass


class _Array(_Json, frozen=True):
    values: list[_AnyJson] = []


class _Pairs(_Json, frozen=True):
    values: list[_Pair] = []


class _AnyJson(_Json, frozen=True):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Pair(_Json, frozen=True):
    key: str = ""
    value: _AnyJson = _AnyJson()


class _Event(_Json, frozen=True):
    time_unix_nano: int | str = 0
    name: str = ""
    attributes: list[_Pair] = []


class _Status(_Json, frozen=True):
    code: int = 0
    message: str = ""


class _Span(_Json, frozen=True):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    status: _Status = _Status()


class _Scope(_Json, frozen=True):
    name: str = ""
    version: str = ""


class _Scoped(_Json, frozen=True):
    scope: _Scope = _Scope()
    spans: list[_Span] = []


class _Resource(_Json, frozen=True):
    attributes: list[_Pair] = []


class _Group(_Json, frozen=True):
    resource: _Resource = _Resource()
    scope_spans: list[_Scoped] = []


class _Request(_Json, frozen=True):
    resource_spans: list[_Group] = []


def _from_json(body: bytes) -> Iterator[OtlpSpan]:
    try:
        request = msgspec.json.decode(body, type=_Request)
        for group in request.resource_spans:
            resource = _read(group.resource.attributes)
            for scoped in group.scope_spans:
                for span in scoped.spans:
                    yield _span(span, resource, scoped.scope)
    except (ValueError, RecursionError) as error:
        raise OtlpError(str(error)) from None


def _span(span: _Span, resource: dict[str, object], scope: _Scope) -> OtlpSpan:
    return OtlpSpan(
        span.trace_id.lower(), span.span_id.lower(), span.parent_span_id.lower(), span.name, span.kind,
        int(span.start_time_unix_nano), int(span.end_time_unix_nano), span.status.code, span.status.message,
        _read(span.attributes),
        [OtlpEvent(int(one.time_unix_nano), one.name, _read(one.attributes)) for one in span.events],
        resource, scope.name, scope.version,
    )  # fmt: skip


def _read(pairs: Iterable[_Pair], depth: int = 0) -> dict[str, object]:
    return {pair.key: _read_any(pair.value, depth) for pair in pairs}


def _int64(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError("an intValue has more than 64 bits")
    return number


def _read_any(value: _AnyJson, depth: int) -> object:
    if depth > _MOST_NESTED:
        return None
    if value.int_value is not None:
        return _int64(int(value.int_value))
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return [_read_any(item, depth + 1) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return _read(value.kvlist_value.values, depth + 1)
    given = (value.string_value, value.bool_value, value.bytes_value)
    return next((one for one in given if one is not None), None)
