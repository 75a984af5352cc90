"""What the attributes of a user span say about a call to a model or over HTTP, as metadata (`http-apis.md` §6.2).

Attributes are those of OpenTelemetry's semantic conventions, stable or old; what was asked and answered is not read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from holdfast.server.api.traces.prices import COST, COST_DIGITS, priced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.server.model.telemetry import UserSpan

AI: Final = "inngest.ai"
HTTP: Final = "inngest.http"
#: Values that add up over the calls of a step; of all others the last one counts.
SUMS: Final = frozenset({
    "input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens",
    "latency_ms", COST,
})  # fmt: skip

_AI_TEXTS: Final = {
    "request_model": ("gen_ai.request.model",),
    "response_model": ("gen_ai.response.model",),
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "operation_name": ("gen_ai.operation.name",),
    "response_id": ("gen_ai.response.id",),
}
_AI_NUMBERS: Final = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens",),
    "cache_read_tokens": ("gen_ai.usage.cache_read.input_tokens",),
    "cache_creation_tokens": ("gen_ai.usage.cache_creation.input_tokens",),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens",),
    "estimated_cost": ("gen_ai.usage.cost",),
    "temperature": ("gen_ai.request.temperature",),
    "top_p": ("gen_ai.request.top_p",),
    "max_tokens": ("gen_ai.request.max_tokens",),
    "frequency_penalty": ("gen_ai.request.frequency_penalty",),
    "presence_penalty": ("gen_ai.request.presence_penalty",),
    "seed": ("gen_ai.request.seed",),
}
_HTTP_TEXTS: Final = {
    "method": ("http.request.method", "http.method"),
    "request_content_type": ("http.request.header.content-type",),
    "response_content_type": ("http.response.header.content-type",),
    "domain": ("server.address", "url.domain", "net.peer.name"),
    "path": ("url.path", "http.target"),
}
_HTTP_NUMBERS: Final = {
    "response_status": ("http.response.status_code", "http.status_code"),
    "request_size": ("http.request.size", "http.request.body.size", "http.request_content_length"),
    "response_size": ("http.response.size", "http.response.body.size", "http.response_content_length"),
}
_NS_PER_MS: Final = 1_000_000


def extract(span: UserSpan) -> dict[str, dict[str, object]]:
    """Metadata values by kind; empty for a span that is neither kind of call."""
    found = {AI: _ai(span), HTTP: _http(span.attributes)}
    return {kind: values for kind, values in found.items() if values}


def together(values: dict[str, object], later: dict[str, object]) -> dict[str, object]:
    """Values of two calls of one step: sums add up, of the others the later counts."""
    sums = {name: add(values[name], later[name]) for name in SUMS & values.keys() & later.keys()}
    if isinstance(cost := sums.get(COST), float):
        sums[COST] = round(cost, COST_DIGITS)
    return {**values, **later, **sums}


def add(known: object, later: object) -> object:
    """Return the sum of two numbers, if a double holds it; of anything else the later one."""
    if not isinstance(known, int | float) or not isinstance(later, int | float):
        return later
    try:
        return known + later if math.isfinite(known + later) else later
    except OverflowError:
        return later


def _ai(span: UserSpan) -> dict[str, object]:
    values = _pick(span.attributes, _AI_TEXTS, _AI_NUMBERS)
    reasons = span.attributes.get("gen_ai.response.finish_reasons")
    listed = [reason for reason in (reasons if isinstance(reasons, list) else [reasons]) if isinstance(reason, str)]  # pyright: ignore[reportUnknownVariableType]
    if listed:
        values["finish_reasons"] = listed
    if not values:
        return {}
    given, made = values.get("input_tokens"), values.get("output_tokens")
    if isinstance(given, int) and isinstance(made, int):
        values.setdefault("total_tokens", given + made)
    values["latency_ms"] = (span.end - span.start) // _NS_PER_MS
    return priced(values)


def _http(attributes: Mapping[str, object]) -> dict[str, object]:
    values = _pick(attributes, _HTTP_TEXTS, _HTTP_NUMBERS)
    if not values.keys() & {"method", "response_status", "request_size", "response_size"}:
        return {}
    url = attributes.get("url.full") or attributes.get("http.url")
    if isinstance(url, str):
        domain, path = _parts(url)
        values.setdefault("domain", domain)
        values.setdefault("path", path)
    return values


def _parts(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.path or "/"
    except ValueError:
        return "", ""


def _pick(
    attributes: Mapping[str, object], texts: Mapping[str, tuple[str, ...]], numbers: Mapping[str, tuple[str, ...]]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, keys in texts.items():
        text = next((found for key in keys if isinstance(found := attributes.get(key), str) and found), None)
        if text is not None:
            values[name] = text
    for name, keys in numbers.items():
        number = next((found for key in keys if (found := _number(attributes.get(key))) is not None), None)
        if number is not None:
            values[name] = number
    return values


def _number(value: object) -> int | float | None:
    """Return a number, which some write as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value
