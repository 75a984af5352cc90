"""OpenTelemetry's variables: what they switch on, and what is said of those that can't be."""

from __future__ import annotations

import pytest

from holdfast.server.telemetry.settings import BATCH, QUEUE, Sampler, Settings, TelemetryError, read_settings

ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
TRACE = "a" * 16 + "8" + "0" * 15


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {**ON, "OTEL_SDK_DISABLED": "TRUE"},
        {**ON, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_SERVICE_NAME": "x"},
    ],
)
def test_off(environment: dict[str, str]) -> None:
    assert read_settings(environment) is None


def test_on() -> None:
    assert read_settings(ON) == Settings("otlp", "http://collector:4318", Sampler(), QUEUE, BATCH, 5.0)
    traces = {**ON, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/v1/traces"}
    assert read_settings(traces) == Settings("otlp", "https://other/v1/traces")
    assert read_settings({"OTEL_TRACES_EXPORTER": "otlp"}) == Settings("otlp", "http://localhost:4318")
    console = {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BSP_MAX_QUEUE_SIZE": "3"}
    assert read_settings({**console, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}) == Settings(
        "console", "http://localhost:4318", Sampler(), 3, 2, 0.02
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported: set it to http",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json is not"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "must be a URL that starts with http:// or https://"),
        (
            {"OTEL_EXPORTER_OTLP_COMPRESSION": "br"},
            "OTEL_EXPORTER_OTLP_COMPRESSION=br is not supported: set it to gzip",
        ),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT=soon must be a number of seconds above 0"),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER=zipkin is not supported: set it to otlp, console or",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
            "OTEL_TRACES_SAMPLER=jaeger_remote is not supported: set it to one of",
        ),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG=2 must be"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "OTEL_BSP_MAX_QUEUE_SIZE=-1 must be a whole number above 0"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "1.5"}, "OTEL_BSP_SCHEDULE_DELAY=1.5 must be a whole number above 0"),
    ],
)
def test_what_cannot_be(given: dict[str, str], text: str) -> None:
    with pytest.raises(TelemetryError) as caught:
        read_settings({**ON, **given})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "argument", "alone", "sent", "unsent"),
    [
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("traceidratio", "0.4", False, False, False),
        ("traceidratio", "0.6", True, True, True),
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_always_off", "", False, True, False),
        ("parentbased_traceidratio", "0.4", False, True, False),
        ("parentbased_traceidratio", "0.6", True, True, False),
    ],
)
def test_samplers_decide_by_trace_and_sender(name: str, argument: str, alone: bool, sent: bool, unsent: bool) -> None:
    settings = read_settings({**ON, "OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert settings is not None
    takes = settings.sampler.takes
    assert (takes(TRACE, sent_by=None), takes(TRACE, sent_by=True), takes(TRACE, sent_by=False)) == (
        alone,
        sent,
        unsent,
    )
