"""The conformance suites' view of a server: send events, find and await runs, read traces, ask apps what they saw."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

POLL = 0.02
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "SKIPPED"}
Json = dict[str, Any]
T = TypeVar("T")

SPAN = """
    name status attempts stepID stepOp stepType outputID isRoot spanID parentSpanID runID
    queuedAt startedAt endedAt duration response { statusCode } metadata { scope kind values }
    stepInfo {
        __typename
        ... on InvokeStepInfo { triggeringEventID functionID timeout returnEventID runID timedOut }
        ... on SleepStepInfo { sleepUntil }
        ... on WaitForEventStepInfo { eventName expression timeout foundEventID timedOut }
        ... on WaitForSignalStepInfo { signal timeout timedOut }
        ... on RunStepInfo { type }
    }
"""
RUN = """
    query($runID: String!) { run(runID: $runID) {
        id status output startedAt endedAt queuedAt eventName isBatch batchCreatedAt cronSchedule traceID triggerIDs
        function { slug } app { externalID }
    } }
"""
OUTPUT = """
    query($id: String!) { runTraceSpanOutputByID(outputID: $id) { input data error { message name stack cause } } }
"""
TRACE = (
    """
    query($runID: String!, $preview: Boolean) {
        run(runID: $runID) { status traceID trace(preview: $preview) {
            ...S childrenSpans { ...S childrenSpans { ...S childrenSpans { ...S } } }
        } }
    }
    fragment S on RunTraceSpan {"""
    + SPAN
    + "}"
)


class GraphQLError(AssertionError):
    """The server answered a query with errors."""


def wait_until(what: Callable[[], T | None], timeout: float = 15, message: str = "") -> T:
    """Poll until `what()` is neither None nor false, and return it."""
    deadline = time.monotonic() + timeout
    while not (found := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {message or what}")
        time.sleep(POLL)
    return found


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as GraphQL tells it; `output` is decoded when it is JSON and text otherwise."""

    id: str
    status: str
    output: Any
    raw: Json

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        start, end = (dt.datetime.fromisoformat(self.raw[name]) for name in ("startedAt", "endedAt"))
        return (end - start).total_seconds()


def decode(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


class Platform:
    """A client of one server, with the requests that SDK test suites and users make."""

    def __init__(self, url: str, event_key: str = "test", signing_key: str | None = None) -> None:
        self.url = url
        self.event_key = event_key
        headers = {} if signing_key is None else {"authorization": f"Bearer {signing_key}"}
        self.http = httpx.Client(base_url=url, timeout=30, headers=headers)

    def close(self) -> None:
        self.http.close()

    # Events

    def post_events(self, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.http.post(f"/e/{self.event_key}", json=body, headers=headers)

    def send(self, name: str, data: Json | None = None, **fields: object) -> str:
        """Send one event; returns its internal id."""
        return self.send_many([{"name": name, "data": data or {}, **fields}])[0]

    def send_many(self, events: list[Json], headers: Mapping[str, str] | None = None) -> list[str]:
        response = self.post_events(events, headers)
        assert response.status_code == 200, response.text
        ids: list[str] = response.json()["ids"]
        assert len(ids) == len(events)
        return ids

    # GraphQL

    def gql(self, query: str, **variables: object) -> Json:
        response = self.http.post("/v0/gql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        answer = response.json()
        if answer.get("errors"):
            raise GraphQLError(answer["errors"])
        data: Json = answer["data"]
        return data

    def try_gql(self, query: str, **variables: object) -> Json | None:
        """As `gql`, but None where the server answers with an error: what pollers do before a run exists."""
        try:
            return self.gql(query, **variables)
        except GraphQLError:
            return None

    def run_ids(self, event_id: str) -> list[str]:
        data = self.try_gql("query($id: ID!) { event(query: {eventId: $id}) { functionRuns { id } } }", id=event_id)
        event = data and data["event"]
        return [run["id"] for run in (event or {}).get("functionRuns") or []]

    def runs_of(self, event_id: str, count: int = 1, timeout: float = 10) -> list[str]:
        """Ids of an event's runs, as soon as there are `count`."""
        enough = lambda: ids if len(ids := self.run_ids(event_id)) >= count else None  # noqa: E731
        ids = wait_until(enough, timeout, f"{count} runs of event {event_id}")
        assert len(ids) == count
        return ids

    def run(self, run_id: str) -> Run | None:
        data = self.try_gql(RUN, runID=run_id)
        if not data or not data["run"]:
            return None
        raw = data["run"]
        return Run(raw["id"], raw["status"], decode(raw["output"]), raw)

    def wait_run(self, run_id: str, status: str = "COMPLETED", timeout: float = 15) -> Run:
        """Wait until a run has the status; fails at once when it ended otherwise."""

        def reached() -> Run | None:
            run = self.run(run_id)
            if run is None or (run.status != status and run.status not in ENDED):
                return None
            return run

        run = wait_until(reached, timeout, f"run {run_id} {status}, is {self.run(run_id)}")
        assert run.status == status, run
        return run

    def trace(self, run_id: str, *, preview: bool) -> Json:
        data = self.gql(TRACE, runID=run_id, preview=preview)
        trace: Json = data["run"]["trace"]
        return trace

    def spans(self, run_id: str) -> list[Json]:
        """First level of the new tree, empty while there is none."""
        data = self.try_gql(TRACE, runID=run_id, preview=True)
        trace: Json = (data and data["run"] and data["run"]["trace"]) or {"childrenSpans": []}
        spans: list[Json] = trace["childrenSpans"]
        return spans

    def wait_span(self, run_id: str, name: str, status: str = "WAITING") -> Json:
        """Wait until a step stands in the trace with a status."""
        match = lambda span: (span["name"], span["status"]) == (name, status)  # noqa: E731
        return wait_until(lambda: next(filter(match, self.spans(run_id)), None), 10, f"{name} {status} in {run_id}")

    def span_output(self, output_id: str) -> Json:
        output: Json = self.gql(OUTPUT, id=output_id)["runTraceSpanOutputByID"]
        return output

    def step_output(self, run_id: str, step: str, index: int = 0) -> Any:
        """A step's result by its span's name in the new tree: the value, or {"error": …}."""
        spans = [span for span in self.spans(run_id) if span["name"] == step]
        unique = list({span["stepID"]: span for span in spans}.values())
        output = self.span_output(unique[index]["outputID"])
        return {"error": output["error"]} if output["error"] else decode(output["data"])

    def events(self, name: str, start: str) -> list[Json]:
        """Events of a name received since `start` (RFC 3339), internal ones included."""
        filters = {"from": start, "eventNames": [name], "includeInternalEvents": True}
        query = "query($f: EventsFilter!) { eventsV2(first: 100, filter: $f) { edges { node { id raw } } } }"
        edges = self.gql(query, f=filters)["eventsV2"]["edges"]
        return [json.loads(edge["node"]["raw"]) for edge in edges]


def walk(span: Json) -> Iterator[Json]:
    """A span and all below it, depth first."""
    yield span
    for child in span.get("childrenSpans") or []:
        yield from walk(child)


@dataclasses.dataclass
class App:
    """An app under test: its id, which prefixes its events and function slugs, and where it listens."""

    id: str
    kind: str
    origin: str
    path: str
    platform: Platform
    begun: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_python(self) -> bool:
        return self.kind in {"fastapi", "flask"}

    @property
    def checkpoints(self) -> bool:
        return self.kind == "js"

    @property
    def error_name(self) -> str:
        """Name of an ordinary error: what functions of this language raise."""
        return "ValueError" if self.is_python else "Error"

    @property
    def final_status(self) -> str:
        """What the server calls an error that the SDK marks as final: JavaScript marks the last attempt's too."""
        return "invalid status code: 500" if self.is_python else "NonRetriableError"

    def sync(self) -> Json:
        response = httpx.put(self.origin + self.path, timeout=30)
        assert response.status_code == 200, response.text
        body: Json = response.json()
        return body

    def event(self, name: str) -> str:
        return f"{self.id}/{name}"

    def slug(self, function: str) -> str:
        return f"{self.id}-{function}"

    def send(self, name: str, data: Json | None = None, **fields: object) -> str:
        return self.platform.send(self.event(name), data, **fields)

    def start(self, name: str, data: Json | None = None, **fields: object) -> str:
        """Send a function its event; returns the id of the one run that it starts."""
        return self.platform.runs_of(self.send(name, data, **fields))[0]

    def finish(self, name: str, data: Json | None = None, status: str = "COMPLETED", timeout: float = 15) -> Run:
        """Run a function to its end."""
        return self.platform.wait_run(self.start(name, data), status, timeout)

    def begin(self, *names: str) -> None:
        """Start one run of each of these functions, for `once` to wait for."""
        new = [name for name in names if name not in self.begun]
        events = self.platform.send_many([{"name": self.event(name), "data": {}} for name in new]) if new else []
        self.begun.update(zip(new, events, strict=True))

    def once(self, name: str, status: str = "COMPLETED") -> Run:
        """The session's one run of a function, for tests that only look at it."""
        self.begin(name)
        return self.platform.wait_run(self.platform.runs_of(self.begun[name])[0], status)

    def report(self, run_id: str | None = None) -> Json:
        params = {} if run_id is None else {"run": run_id}
        body: Json = httpx.get(f"{self.origin}/calls", params=params, timeout=10).json()
        return body

    def calls(self, run_id: str) -> list[Json]:
        """Requests of the server for a run, in the order of arrival."""
        calls: list[Json] = self.report(run_id)["calls"]
        return calls

    def ran(self, run_id: str) -> list[tuple[str, int]]:
        """Bodies that ran in a run: (step, attempt)."""
        return [(item["step"], item["attempt"]) for item in self.report(run_id)["ran"]]

    def noted(self, step: str) -> list[Json]:
        """All notes of one name, over all runs."""
        return [item for item in self.report()["ran"] if item["step"] == step]

    def wait_ran(self, run_id: str, step: str, timeout: float = 10) -> None:
        wait_until(lambda: any(name == step for name, _ in self.ran(run_id)), timeout, f"{step} of {run_id}")
