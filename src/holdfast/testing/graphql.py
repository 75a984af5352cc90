"""A client of a dev server's GraphQL API, as suites of SDKs use one: runs of events, statuses, outputs of steps."""

from __future__ import annotations

import time
from enum import Enum
from typing import Any

import httpx
import msgspec

_POLL_S = 0.05


class RunStatus(Enum):
    """Where a run stands."""

    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RUNNING = "RUNNING"


ENDED = frozenset({RunStatus.CANCELLED, RunStatus.COMPLETED, RunStatus.FAILED})


class FoundRun(msgspec.Struct):
    """A run as `wait_for_run_status` returns it. `output` is JSON; `event` is the event that started it."""

    id: str
    status: RunStatus
    output: str | None = None
    event: dict[str, object] = {}


_RUNS = "query($id: ID!) { event(query: {eventId: $id}) { functionRuns { id } } }"
_RUN = "query($id: String!) { run(runID: $id) { status output } runTrigger(runID: $id) { payloads } }"
_STEPS = "query($id: String!) { run(runID: $id) { trace { childrenSpans { name outputID } } } }"
_OUTPUT = "query($id: String!) { runTraceSpanOutputByID(outputID: $id) { data error { message name stack } } }"


class GraphQLClient:
    """Asks a server, and again until the answer is there. Times are in seconds."""

    def __init__(self, origin: str) -> None:
        self._url = f"{origin}/v0/gql"

    def query(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data of an answer. Raises RuntimeError with the errors of one that has none."""
        answer = httpx.post(self._url, json={"query": query, "variables": variables}, timeout=10, trust_env=False)
        document = answer.json()
        if document.get("errors") or not document.get("data"):
            raise RuntimeError(f"GraphQL answered {answer.status_code}: {document.get('errors') or document}")
        data: dict[str, Any] = document["data"]
        return data

    def get_run_ids_from_event_id(self, event_id: str, *, run_count: int = 1, timeout: float = 5) -> list[str]:
        """Return the ids of the runs that an event started, when there are `run_count`. Raises TimeoutError."""
        found: list[str] = []
        for _ in _tries(timeout):
            event: dict[str, list[dict[str, str]]] = self._ask(_RUNS, id=event_id).get("event") or {}
            found = [run["id"] for run in event.get("functionRuns") or []]
            if len(found) >= run_count:
                return found
        raise TimeoutError(f"event {event_id} started {len(found)} runs within {timeout:g} s, not {run_count}")

    def wait_for_run_status(self, run_id: str, expected: RunStatus, *, timeout: float = 20) -> FoundRun:
        """Return a run when it has a status. Raises AssertionError if it ended with another, else TimeoutError."""
        last = "unknown"
        for _ in _tries(timeout):
            data = self._ask(_RUN, id=run_id)
            run = data.get("run")
            if run is None:
                continue
            last = run["status"]
            if last == expected.value:
                payloads = data["runTrigger"]["payloads"]
                event = msgspec.json.decode(payloads[0], type=dict[str, object]) if payloads else {}
                return FoundRun(run_id, expected, run["output"], event)
            if last in {status.value for status in ENDED}:
                raise AssertionError(f"run {run_id} ended as {last}, not {expected.value}: {run['output']}")
        raise TimeoutError(f"run {run_id} is {last} after {timeout:g} s, not {expected.value}")

    def get_step_output(self, *, run_id: str, step_id: str, index: int | None = None) -> str:
        """Return the JSON of a step's output, of one that failed `{"error": …}`; `index` is among those of a name.

        Raises:
            LookupError: The run has no such step; the text lists those that it has.

        """
        spans = self.query(_STEPS, id=run_id)["run"]["trace"]["childrenSpans"]
        outputs = [span["outputID"] for span in spans if span["name"] == step_id]
        if len(outputs) <= (index or 0):
            raise LookupError(f"run {run_id} has no step {step_id!r}, only {[span['name'] for span in spans]}")
        found = self.query(_OUTPUT, id=outputs[index or 0])["runTraceSpanOutputByID"]
        data: str | None = found["data"]
        return data if data is not None else msgspec.json.encode({"error": found["error"]}).decode()

    def _ask(self, query: str, **variables: object) -> dict[str, Any]:
        try:
            return self.query(query, **variables)
        except (RuntimeError, httpx.TransportError):  # not there yet
            return {}


def _tries(timeout: float) -> Any:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        yield
        time.sleep(_POLL_S)
