"""Whether and how traces of runs are sent out: OpenTelemetry's standard environment variables.

The exporter of OpenTelemetry's SDK reads those of the connection itself (endpoint, headers, timeout, compression,
certificates). Here is what it leaves open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Exporter = Literal["otlp", "console"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_COMPRESSIONS: Final = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
_TIMEOUTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_HTTP: Final = "http/protobuf"
_SAMPLERS: Final = (
    "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
    "parentbased_traceidratio",
)  # fmt: skip
QUEUE: Final = 20_000  # runs that wait to be sent
BATCH: Final = 512  # spans of one request
DELAY_MS: Final = 5_000
_RATIO_BASE: Final = 1 << 64  # ratios are of the last 64 bits of a trace id


class TelemetryError(ValueError):
    """A variable is set to what can't be done; the text says which, and what to do."""


class Sampler(msgspec.Struct, frozen=True):
    """Which runs are sent: all, none or a share by trace id; `parent_based` ones heed what their sender decided."""

    parent_based: bool = True
    ratio: float = 1.0

    def takes(self, trace_id: str, *, sent_by: bool | None) -> bool:
        """Return whether a run is sent. `sent_by` is the decision of its sender, None if there was none."""
        if self.parent_based and sent_by is not None:
            return sent_by
        return int(trace_id[16:], 16) < self.ratio * _RATIO_BASE


class Settings(msgspec.Struct, frozen=True):
    """How traces are sent. Times are seconds."""

    exporter: Exporter
    endpoint: str = ""  # for showing; the exporter reads it itself
    sampler: Sampler = Sampler()
    queue: int = QUEUE
    batch: int = BATCH
    delay: float = DELAY_MS / 1_000


def read_settings(environment: Mapping[str, str]) -> Settings | None:
    """Return what the environment asks for; None for nothing. Raises TelemetryError."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    endpoint = _first(environment, _ENDPOINTS)
    chosen = environment.get("OTEL_TRACES_EXPORTER", "").strip() or ("otlp" if endpoint[1] else "none")
    if chosen == "none":
        return None
    if chosen not in {"otlp", "console"}:
        raise TelemetryError(f"OTEL_TRACES_EXPORTER={chosen} is not supported: set it to otlp, console or none")
    if chosen == "otlp":
        _check_connection(environment, endpoint)
    return Settings(
        exporter=cast("Exporter", chosen),
        endpoint=endpoint[1] or "http://localhost:4318",
        sampler=_sampler(environment),
        queue=_number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
        batch=_number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
        delay=_number(environment, "OTEL_BSP_SCHEDULE_DELAY", DELAY_MS) / 1_000,
    )


def _check_connection(environment: Mapping[str, str], endpoint: tuple[str, str]) -> None:
    name, protocol = _first(environment, _PROTOCOLS)
    if protocol not in {"", _HTTP}:
        text = f"{name}={protocol} is not supported: set it to {_HTTP}"
        hint = ", and the endpoint to the collector's port for HTTP (4318, where gRPC has 4317)"
        raise TelemetryError(text + (hint if protocol == "grpc" else ""))
    variable, url = endpoint
    if url and not url.startswith(("http://", "https://")):
        raise TelemetryError(f"{variable}={url} must be a URL that starts with http:// or https://")
    name, compression = _first(environment, _COMPRESSIONS)
    if compression not in {"", "none", "gzip", "deflate"}:
        raise TelemetryError(f"{name}={compression} is not supported: set it to gzip, deflate or none")
    name, timeout = _first(environment, _TIMEOUTS)
    if timeout and not _is_positive(timeout):
        raise TelemetryError(f"{name}={timeout} must be a number of seconds above 0")


def _sampler(environment: Mapping[str, str]) -> Sampler:
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip() or "parentbased_always_on"
    if name not in _SAMPLERS:
        raise TelemetryError(f"OTEL_TRACES_SAMPLER={name} is not supported: set it to one of {', '.join(_SAMPLERS)}")
    kind = name.removeprefix("parentbased_")
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(kind)
    return Sampler(kind != name, _ratio(environment) if ratio is None else ratio)


def _ratio(environment: Mapping[str, str]) -> float:
    text = environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise TelemetryError(f"OTEL_TRACES_SAMPLER_ARG={text} must be a number from 0 to 1")
    return ratio


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise TelemetryError(f"{name}={text} must be a whole number above 0")
    return int(text)


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first of some variables that is set, and its value."""
    return next(((name, value) for name in names if (value := environment.get(name, "").strip())), (names[0], ""))
