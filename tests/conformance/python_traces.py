"""An app of the official Python SDK that sends its spans to the server, as docs/how-to/tracing.md shows.

The environment says where: PORT, SERVER_URL.
"""

from __future__ import annotations

import contextvars
import os
import typing

import fastapi
import inngest
import inngest.fast_api
import uvicorn
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVER = os.environ["SERVER_URL"]

# The run that a request is for, as attributes of all spans that are made in it.
call: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("call")


class OfRuns(BatchSpanProcessor):
    """Sends the spans that are made in a run, and no others."""

    def on_start(self, span: typing.Any, parent_context: object = None) -> None:
        span.set_attributes(call.get({}))

    def on_end(self, span: typing.Any) -> None:
        if "sdk.run.id" in span.attributes:
            super().on_end(span)


class Calls:
    """ASGI middleware: remembers for which run a request is."""

    def __init__(self, app: typing.Any) -> None:
        self.app = app

    async def __call__(self, scope: typing.Any, receive: typing.Any, send: typing.Any) -> None:
        headers = dict(scope.get("headers", ()))
        if b"x-run-id" in headers:
            state = dict(part.split("=", 1) for part in headers[b"tracestate"].decode().split(","))
            call.set(
                {
                    "sdk.run.id": headers[b"x-run-id"].decode(),
                    "sys.function.id": state["inngest@fn"],
                    "inngest.traceref": state["inngest@traceref"],
                }
            )
        await self.app(scope, receive, send)


provider = TracerProvider()
provider.add_span_processor(OfRuns(OTLPSpanExporter(f"{SERVER}/v1/traces/userland"), schedule_delay_millis=500))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")

client = inngest.Inngest(
    app_id="traced-python", api_base_url=SERVER, event_api_base_url=SERVER, event_key="test", is_production=False
)
app = fastapi.FastAPI()
app.add_middleware(Calls)


@client.create_function(fn_id="shop", trigger=inngest.TriggerEvent(event="traced-python/shop"), retries=0)
async def shop(ctx: inngest.Context) -> str:
    async def price() -> int:
        with tracer.start_as_current_span("look up"), tracer.start_as_current_span("ask"):
            return 1

    await ctx.step.run("price", price)
    with tracer.start_as_current_span("in the body"):
        return "done"


@app.get("/health")
def health() -> str:
    return "ok"


inngest.fast_api.serve(app, client, [shop])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
