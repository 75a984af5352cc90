"""Watches a server's runs through its GraphQL API and tells what changed since the last look."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = """
    query($from: Time!) {
        runs(first: 100, filter: {from: $from}, orderBy: [{field: QUEUED_AT, direction: ASC}]) {
            edges { node { id status function { slug } } }
        }
    }
"""
RUN = """
    query($id: String!) {
        run(runID: $id) { status output }
        runTrace(runID: $id) { childrenSpans {
            name status stepID stepOp
            childrenSpans { name status }
        } }
        runTrigger(runID: $id) { payloads }
    }
"""
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
Json = dict[str, Any]


@dataclasses.dataclass
class Run:
    """A run as last seen."""

    id: str
    function: str
    status: str = "QUEUED"
    order: str = ""
    output: Any = None
    seen: dict[str, str] = dataclasses.field(default_factory=dict)
    """Step name -> what was last told of it."""

    @property
    def label(self) -> str:
        return f"{self.function.removeprefix('shop-')} {self.order}"


@dataclasses.dataclass(frozen=True)
class Change:
    """Something new in a run: `what` is its step, or nothing for the run as a whole."""

    run: Run
    what: str
    state: str


class Watcher:
    """All runs since a moment, in the order of their start."""

    def __init__(self, url: str, since: str) -> None:
        self.since = since
        self.http = httpx.Client(base_url=url, timeout=5)
        self.runs: dict[str, Run] = {}

    def query(self, text: str, **variables: object) -> Json:
        response = self.http.post("/v0/gql", json={"query": text, "variables": variables})
        response.raise_for_status()
        data: Json = response.json().get("data") or {}
        return data

    def look(self) -> list[Change]:
        """What changed since the last look; nothing while the server is away."""
        try:
            edges = (self.query(RUNS, **{"from": self.since}).get("runs") or {}).get("edges", [])
            for edge in edges:
                node = edge["node"]
                self.runs.setdefault(node["id"], Run(node["id"], node["function"]["slug"]))
            open_runs = [run for run in self.runs.values() if run.status not in ENDED]
            return [change for run in open_runs for change in self.update(run)]
        except httpx.TransportError:
            return []

    def update(self, run: Run) -> Iterator[Change]:
        data = self.query(RUN, id=run.id)
        if not data.get("run") or not data.get("runTrigger"):
            return
        run.order = run.order or order_in(data["runTrigger"]["payloads"])
        spans = (data.get("runTrace") or {}).get("childrenSpans") or []
        for name, state in sorted(step_states(spans).items(), key=lambda item: item[1] != "COMPLETED"):
            if run.seen.get(name) != state:
                run.seen[name] = state
                yield Change(run, name, state)
        if data["run"]["status"] in ENDED:
            run.status = data["run"]["status"]
            run.output = decode(data["run"]["output"])
            yield Change(run, "", run.status)


def step_states(spans: list[Json]) -> dict[str, str]:
    """Step name -> COMPLETED, WAITING, SLEEPING or RETRYING; a step has several spans, the furthest one counts."""
    ranks = {"RETRYING": 0, "SLEEPING": 1, "WAITING": 1, "FAILED": 2, "COMPLETED": 3}
    states: dict[str, str] = {}
    for span in spans:
        state = "RETRYING" if span["status"] == "FAILED" else span["status"]
        if state == "WAITING" and span["stepOp"] == "SLEEP":
            state = "SLEEPING"
        known = states.get(span["name"])
        if span["stepID"] and state in ranks and (known is None or ranks[state] > ranks[known]):
            states[span["name"]] = state
    return states


def order_in(payloads: list[str]) -> str:
    """The order number in a run's event, or in the event of the run that it is about."""
    data = json.loads(payloads[0])["data"]
    origin = data["event"]["data"] if "event" in data else data
    return str(origin.get("order", ""))


def decode(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return text
