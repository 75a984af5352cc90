"""The routes besides REST v2, as the document shows them (`protocol/http-apis.md` §2 to §8)."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from holdfast.server.api.rest.openapi.entry import EMPTY, Entry, Parameter, Reply, failures
from holdfast.server.api.rest.v1.cancellation_routes import CancellationRequestV1, CancellationV1
from holdfast.server.api.rest.v1.function_routes import PausableFunction, PauseRequest
from holdfast.server.api.rest.v1.run_routes import EventV1, FunctionV1, JobV1, RunV1
from holdfast.server.model.reason import Reason
from holdfast.server.telemetry.metadata import Target, Update

_Json = dict[str, Any]  # any object, as it comes
_EXPORTED: Final = (
    Parameter("since", "Only newer than this: a time (2026-01-31T12:00:00Z) or an age (7d)."),
    Parameter("until", "Only older than this."),
    Parameter(
        "function", "Only of functions with these slugs; for events: only those that started a run of them.", list[str]
    ),
)


class FetchedV1(msgspec.Struct, omit_defaults=True):
    """When an answer was made, and how long it may be kept."""

    fetched_at: str
    cached_until: str = ""


class Alive(msgspec.Struct):
    """That the server answers."""

    status: int
    message: str


class NewEvent(msgspec.Struct, omit_defaults=True):
    """An event, as it is sent."""

    name: Annotated[str, Meta(description="The event's name; names that start with `inngest/` are reserved.")]
    data: Annotated[_Json, Meta(description="The event's payload.")] = {}
    user: _Json = {}
    id: Annotated[
        str, Meta(description="Idempotency id: an event with the same id within 24 hours starts nothing more.")
    ] = ""
    ts: Annotated[int, Meta(description="Time of the event, ms since the epoch; a future time delays its runs.")] = 0
    v: str = ""


class Invocation(msgspec.Struct, omit_defaults=True):
    """What an invoked function gets."""

    data: _Json = {}
    user: _Json = {}
    id: str = ""
    ts: int = 0


class Accepted(msgspec.Struct, omit_defaults=True):
    """Internal ids of the events that were accepted, in their order; of a failure, of those before the bad one."""

    ids: list[str]
    status: int
    error: str = ""


class KeyRefusal(msgspec.Struct):
    """That an event key is not known."""

    status: int
    message: str
    error: str


class InvokedEvent(msgspec.Struct):
    """The id of the invocation's event."""

    id: str
    status: int


class NewSignal(msgspec.Struct, omit_defaults=True):
    """A signal, for the run that waits for it."""

    signal: str
    data: object = None


class SignalledRun(msgspec.Struct):
    """The run that waited for a signal."""

    run_id: str


class Removal(msgspec.Struct):
    """That it is gone."""

    ok: bool


class RunReasons(msgspec.Struct):
    """What a run does, waits for, or came to."""

    run_id: str
    status: str
    reasons: list[Shown]


class EventReasons(msgspec.Struct):
    """What became of an event."""

    event_id: str
    name: str
    reasons: list[Shown]


class Shown(Reason, frozen=True, kw_only=True, omit_defaults=True):
    """A reason, with its moments as times."""

    since: str | None = None  # type: ignore[assignment]
    until: str | None = None  # type: ignore[assignment]


class MetadataBody(msgspec.Struct):
    """Metadata of a run, or of a step of it."""

    metadata: list[Update]
    target: Target = Target()


def _data(kind: object, text: str) -> Reply:
    return Reply(200, text, kind, envelope=FetchedV1)


_EVENT = (
    Entry(
        method="POST", path="/e/{key}", tag="Events", summary="Send events", body=NewEvent | list[NewEvent],
        guarded=False,
        replies=(
            Reply(200, "The events, and the runs that they started, are stored.", Accepted),
            Reply(400, "An event is invalid; those before it are stored.", Accepted),
            Reply(401, "The event key is not valid.", KeyRefusal),
            Reply(413, "The body is too large.", Accepted),
            Reply(500, "The events could not be handled; none is stored.", Accepted),
            Reply(503, "The events could not be stored.", Accepted),
        ),
    ),
    Entry(
        method="POST", path="/invoke/{slug}", tag="Events", summary="Invoke a function by its slug", body=Invocation,
        replies=(Reply(200, "Stored. It is not checked whether the function exists.", InvokedEvent),
                 *failures(400, 503)),
    ),
    *(
        Entry(
            method=method, path="/webhooks/{key}", tag="Events", summary="Receive a webhook request of another service",
            body=_Json, guarded=False,
            replies=(Reply(200, "Its events are stored.", Accepted), *failures(400, 404, 413, 503)),
        )
        for method in ("POST", "PUT")
    ),
)  # fmt: skip

_V1 = (
    Entry(
        method="GET", path="/v1/export/runs", tag="REST v1", summary="Export runs as JSON lines, oldest first",
        query=(
            *_EXPORTED,
            Parameter("status", "Only in one of these statuses: running, completed, failed …", list[str]),
            Parameter("with_steps", "`true`: include the results of each run's steps."),
        ),
        replies=(Reply(200, "One run per line.", content="application/x-ndjson"), *failures(400, 503)),
    ),
    Entry(
        method="GET", path="/v1/export/events", tag="REST v1", summary="Export events as JSON lines, oldest first",
        query=(
            *_EXPORTED,
            Parameter("name", "Only events of one of these names.", list[str]),
            Parameter("internal", "`true`: include the server's own events (inngest/…)."),
        ),
        replies=(Reply(200, "One event per line.", content="application/x-ndjson"), *failures(400, 503)),
    ),
    Entry(
        method="GET", path="/v1/events", tag="REST v1", summary="List events, newest first",
        query=(
            Parameter("name", "Events of this name only."),
            Parameter("received_after", "A date in any common format (default: an hour ago)."),
            Parameter("received_before", "A date in any common format."),
            Parameter("cursor", "The internal id of the last event of the previous page."),
            Parameter("limit", "1 to 51, else 20.", int),
        ),
        replies=(_data(list[EventV1], "The events."), *failures(400, 500)),
    ),
    Entry(
        method="GET", path="/v1/events/{event_id}", tag="REST v1", summary="Get an event",
        replies=(_data(EventV1, "The event."), *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/events/{event_id}/runs", tag="REST v1", summary="List the runs of an event",
        replies=(_data(list[RunV1], "The runs, oldest first."), *failures(400)),
    ),
    Entry(
        method="GET", path="/v1/events/{event_id}/why", tag="REST v1", summary="Explain what an event started, and why",
        replies=(_data(EventReasons, "The reasons."), *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/runs/{run_id}", tag="REST v1", summary="Get a run",
        replies=(_data(RunV1, "The run."), *failures(400, 404)),
    ),
    Entry(
        method="DELETE", path="/v1/runs/{run_id}", tag="REST v1", summary="Cancel a run",
        replies=(EMPTY, *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/runs/{run_id}/jobs", tag="REST v1", summary="List the queued jobs of a run",
        replies=(_data(list[JobV1], "At most ten."), *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/runs/{run_id}/why", tag="REST v1", summary="Explain why a run is not running",
        replies=(_data(RunReasons, "The reasons."), *failures(400, 404)),
    ),
    Entry(
        method="POST", path="/v1/runs/{run_id}/metadata", tag="REST v1", summary="Add metadata to a run or a step",
        body=MetadataBody, replies=(EMPTY, *failures(400, 403, 404, 413)),
    ),
    Entry(
        method="GET", path="/v1/apps/{name}/functions", tag="REST v1", summary="List the functions of an app",
        replies=(Reply(200, "The functions; an empty list for an unknown app.", list[FunctionV1]),),
    ),
    Entry(
        method="GET", path="/v1/functions/{function}", tag="REST v1", summary="Get a function by its id or slug",
        replies=(_data(PausableFunction, "The function."), *failures(404)),
    ),
    Entry(
        method="POST", path="/v1/functions/{function}/pause", tag="REST v1", summary="Pause a function",
        body=PauseRequest, replies=(_data(PausableFunction, "The function."), *failures(400, 404)),
    ),
    Entry(
        method="POST", path="/v1/functions/{function}/resume", tag="REST v1", summary="Resume a function",
        replies=(_data(PausableFunction, "The function."), *failures(404)),
    ),
    Entry(
        method="POST", path="/v1/signals", tag="REST v1", summary="Send a signal", body=NewSignal,
        replies=(_data(SignalledRun, "The run that was waiting for the signal."), *failures(400, 404, 500)),
    ),
    Entry(
        method="POST", path="/v1/cancellations", tag="REST v1", summary="Cancel all runs in a time range",
        body=CancellationRequestV1, replies=(_data(CancellationV1, "The cancellation has begun."), *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/cancellations", tag="REST v1", summary="List bulk cancellations",
        replies=(_data(list[CancellationV1], "All of them, newest first."),),
    ),
    Entry(
        method="DELETE", path="/v1/cancellations/{id}", tag="REST v1", summary="Remove a bulk cancellation",
        replies=(_data(Removal, "Removed: it cancels no more runs."), *failures(400, 404)),
    ),
    Entry(
        method="GET", path="/v1/prom/{env}", tag="REST v1", summary="Get metrics, as /metrics",
        replies=(Reply(200, "Prometheus' text.", None, "text/plain"),),
    ),
)  # fmt: skip

_V0 = (
    Entry(
        method="GET", path="/v0/runs/{run_id}/actions", tag="For SDKs", summary="Get the steps of a live run",
        replies=(Reply(200, "Outputs by hashed step id.", _Json), *failures(400, 410)),
    ),
    Entry(
        method="GET", path="/v0/runs/{run_id}/batch", tag="For SDKs", summary="Get the events of a live run",
        replies=(Reply(200, "The events.", list[_Json]), *failures(400, 410)),
    ),
    Entry(
        method="DELETE", path="/v0/runs/{run_id}", tag="For SDKs", summary="Cancel a run",
        replies=(Reply(204, "The run is cancelled.", None, ""), *failures(400, 404, 409)),
    ),
    Entry(
        method="POST", path="/v0/telemetry", tag="For SDKs", summary="Accept usage data, which is discarded",
        replies=(EMPTY,),
    ),
)  # fmt: skip

_FORM: Final = "application/x-www-form-urlencoded"


class FunctionLimit(msgspec.Struct, rename="camel"):
    """A limit of one function."""

    function_id: str
    limit: int


class FunctionChoice(msgspec.Struct, rename="camel"):
    """A function by its UUID."""

    function_id: str


class AppChoice(msgspec.Struct):
    """An app by its URL."""

    url: str


class Registration(msgspec.Struct, omit_defaults=True):
    """What a sync came to."""

    ok: bool
    modified: bool
    sync_id: str
    app_id: str


class RegistrationError(msgspec.Struct, omit_defaults=True):
    """Why a registration was refused; `status` and `data` are there in some cases."""

    error: str
    code: str = ""


_DEVELOPMENT = (
    Entry(
        method="GET", path="/health", tag="Server", summary="Check that the server responds", guarded=False,
        replies=(Reply(200, "It does.", Alive),),
    ),
    Entry(
        method="GET", path="/dev", tag="Server", summary="Describe a dev server",
        replies=(Reply(200, "Version, options, functions.", _Json), Reply(404, "Not a dev server", None, "text/plain")),
    ),
    Entry(
        method="POST", path="/fn/register", tag="For SDKs", summary="Register an app and its functions", body=_Json,
        replies=(
            Reply(200, "The app is synced.", Registration),
            *(Reply(status, "Nothing was changed.", RegistrationError) for status in (400, 413, 500)),
        ),
    ),
    Entry(
        method="DELETE", path="/fn/remove", tag="Server", summary="Archive an app by its URL", body=AppChoice,
        body_content=_FORM, query=(Parameter("url", "The app's URL."),), replies=(EMPTY, *failures(404)),
    ),
    *(
        entry
        for path, what in (("/fn/step-limit", "steps"), ("/fn/state-size-limit", "bytes of state"))
        for entry in (
            Entry(
                method="POST", path=path, tag="Server", summary=f"Limit a function's {what}, for tests",
                body=FunctionLimit, body_content=_FORM, replies=(EMPTY, *failures(400)),
            ),
            Entry(
                method="DELETE", path=path, tag="Server", summary=f"Lift the limit of a function's {what}",
                body=FunctionChoice, body_content=_FORM, replies=(EMPTY, *failures(400, 404)),
            ),
        )
    ),
    *(
        Entry(
            method="GET", path=f"{prefix}/operations", tag="Server", guarded=False,
            summary="List the operations of HTTP, command line and MCP",
            replies=(Reply(200, "The operations.", _Json),),
        )
        for prefix in ("/api/v2", "/v2")
    ),
    Entry(
        method="GET", path="/openapi.json", tag="Server", summary="This document", guarded=False,
        replies=(Reply(200, "OpenAPI 3.1.", _Json),),
    ),
    Entry(
        method="GET", path="/docs/api", tag="Server", summary="This document, for people", guarded=False,
        replies=(Reply(200, "A page.", None, "text/html"),),
    ),
)  # fmt: skip

ENTRIES: Final = (*_EVENT, *_V1, *_V0, *_DEVELOPMENT)

#: Routes that are not in the document, by how their paths begin, and why.
UNDOCUMENTED: Final = {
    "/api/v2/{path:path}": "responds to unknown routes",
    "/v2/{path:path}": "responds to unknown routes",
    "/v0/gql": "GraphQL has a schema of its own",
    "/v0/connect": "protobuf, between SDKs and the gateway",
    "/v0/access": "for the server's own pages; see docs/how-to/access.md",
    "/v1/checkpoint": "between SDKs and the server, byte for byte as the protocol has it",
    "/v1/http/runs": "an older name of /v1/checkpoint",
    "/v1/realtime": "streams and WebSockets; see docs/how-to/realtime.md",
    "/v1/traces": "OTLP, whose documents are elsewhere",
    "/dev/traces": "OTLP, whose documents are elsewhere",
    "/mcp": "MCP: tools describe themselves",
    "/test": "only in test mode",
    "/metrics": "Prometheus' text",
    "/debug": "for the developers of the server",
    "/assets": "the web UI's files",
    "/v0/activity": "JSON lines for `holdfast tail`",
    "/v0/live": "between the web UI and the server",
    "/login": "pages for people",
    "/logout": "pages for people",
    "/ready": "for probes: a status, no document",
}
