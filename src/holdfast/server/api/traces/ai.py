"""What steps tell of calls to models by what they asked and got: `step.ai.infer`, and results of Vercel's AI SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.traces.extraction import AI, HTTP
from holdfast.server.api.traces.span_metadata import Update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.server.model.span import Span
    from holdfast.server.store.history import TraceRow

_SCOPE: Final = "step_attempt"
#: A larger output is not looked into.
_LARGEST: Final = 1024 * 1024

#: How providers name what was counted, in their answers' `usage` or `usageMetadata`.
_COUNTS: Final = {
    "input_tokens": ("input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "promptTokenCount"),
    "output_tokens": ("output_tokens", "completion_tokens", "outputTokens", "completionTokens", "candidatesTokenCount"),
    "total_tokens": ("total_tokens", "totalTokens", "totalTokenCount"),
}
_MORE_COUNTS: Final = {
    "reasoning_tokens": ("reasoningTokens",),
    "cache_read_tokens": ("cachedInputTokens",),
}


class _Answer(msgspec.Struct, gc=False):
    """An answer of a provider, of those that `step.ai.infer` knows."""

    model: object = None
    modelVersion: object = None  # noqa: N815 - Gemini's name
    usage: object = None
    usageMetadata: object = None  # noqa: N815 - Gemini's name


class _Inferred(msgspec.Struct, gc=False):
    data: _Answer


class _Body(msgspec.Struct, gc=False):
    model: object = None


class _Asked(msgspec.Struct, gc=False):
    body: _Body | None = None


class _Request(msgspec.Struct, gc=False):
    body: object = None


class _Response(msgspec.Struct, gc=False, rename={"model_id": "modelId"}):
    model_id: object = None
    headers: object = None


class _Model(msgspec.Struct, gc=False, rename={"model_id": "modelId"}):
    provider: object = None
    model_id: object = None


class _VercelStep(msgspec.Struct, gc=False, rename="camel"):
    usage: object = None
    total_usage: object = None
    request: _Request | None = None
    response: _Response | None = None
    model: _Model | None = None


class _Vercel(_VercelStep, gc=False):
    steps: list[_VercelStep] = []


class _Ran(msgspec.Struct, gc=False):
    data: _Vercel


def of_step(row: TraceRow) -> list[Update]:
    """Return what a finished step tells of its call to a model, `inngest.ai` and `inngest.http`; nothing of others."""
    span, output = row.span, row.output
    if output is None or span.kind != "step" or len(output) > _LARGEST:
        return []
    if span.op == "AIGateway":
        found = _inferred(span, output)
    elif b'sage"' in output and span.op in {"StepRun", "Step"}:
        found = _vercel(output)
    else:
        return []
    return [Update(kind, values, scope=_SCOPE, at=span.ended_at) for kind, values in found.items() if values]


def _inferred(span: Span, output: bytes) -> dict[str, dict[str, object]]:
    try:
        answer = msgspec.json.decode(output, type=_Inferred).data
    except UNREADABLE:
        return {}
    info, call = span.info or {}, span.call
    url = urlsplit(str(info.get("url", "")))
    values: dict[str, object] = {
        "operation_name": "",
        "provider": info.get("format", ""),
        "request_model": _requested(span) or _model_in(url.path),
        "response_model": _text(answer.model) or _text(answer.modelVersion),
        **_counted(_object(answer.usage) or _object(answer.usageMetadata), _COUNTS),
    }
    http: dict[str, object] = {"method": "POST", "domain": url.netloc, "path": url.path}
    http |= {"request_content_type": "application/json", "request_size": info.get("size", 0)}
    if call is not None:
        http["response_content_type"] = call.headers.get("content-type", "")
        http |= {"response_size": call.size, "response_status": call.status}
    return {AI: values, HTTP: http}


def _requested(span: Span) -> str:
    """Return the model that the request's body names."""
    try:
        body = msgspec.json.decode(span.input, type=_Asked | None)
    except UNREADABLE:
        return ""
    return _text(body.body.model) if body is not None and body.body is not None else ""


def _model_in(path: str) -> str:
    """Return the model that a URL names, as Gemini's and Bedrock's do: `/models/{model}:generateContent`."""
    parts = path.split("/")
    after = [parts[at + 1] for at, part in enumerate(parts[:-1]) if part in {"model", "models"}]
    return after[-1].partition(":")[0] if after else ""


def _vercel(output: bytes) -> dict[str, dict[str, object]]:
    """Read a result of `generateText` and its kin, of versions 4 to 6: the last of its steps knows the most."""
    try:
        result = msgspec.json.decode(output, type=_Ran).data
    except UNREADABLE:
        return {}
    last = result.steps[-1] if result.steps else result
    response = result.response or last.response
    model = _text(response.model_id) if response is not None else ""
    usage = _object(result.total_usage) or _object(result.usage) or _object(last.usage)
    counted = _counted(usage, _COUNTS)
    if not counted or not (model or result.steps):
        return {}
    asked = (result.request or last.request or _Request()).body
    named = result.model or last.model or _Model()
    values: dict[str, object] = {
        "operation_name": "",
        "provider": _text(named.provider),
        "request_model": _text(named.model_id) or _model_of(asked) or model,
        "response_model": model,
        **counted,
        **_counted(usage, _MORE_COUNTS),
    }
    return {AI: values, HTTP: _exchanged(asked, _object(response.headers if response is not None else None))}


def _exchanged(asked: object, headers: dict[str, object]) -> dict[str, object]:
    """Return what a result of Vercel's AI SDK tells of its HTTP exchange."""
    known: dict[str, object] = {}
    if isinstance(asked, str):
        known["request_size"] = len(asked.encode())
    if kind := _text(headers.get("content-type")):
        known["response_content_type"] = kind
    if (size := _text(headers.get("content-length"))).isascii() and size.isdigit():
        known["response_size"] = int(size)
    return {"method": "POST", **known} if known else {}


def _model_of(asked: object) -> str:
    """Return the model that a request's body names: an object, or the text of one."""
    try:
        body = msgspec.json.decode(asked, type=_Body) if isinstance(asked, str) else msgspec.convert(asked, _Body)
    except (msgspec.MsgspecError, *UNREADABLE):
        return ""
    return _text(body.model)


def _counted(usage: dict[str, object], names: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """Return the counts of a usage object, by our names; the total is made if it is not told."""
    found: dict[str, object] = {}
    for name, keys in names.items():
        counts = (_count(usage.get(key)) for key in keys)
        if (count := next((c for c in counts if c is not None), None)) is not None:
            found[name] = count
    given, made = found.get("input_tokens"), found.get("output_tokens")
    if isinstance(given, int) and isinstance(made, int):
        found.setdefault("total_tokens", given + made)
    return found


def _count(value: object) -> int | None:
    """Return a count; version 6 of Vercel's AI SDK writes an object with a total."""
    count = _object(value).get("total", value)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _object(value: object) -> dict[str, object]:
    try:
        return msgspec.convert(value, dict[str, object])
    except msgspec.ValidationError:
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
