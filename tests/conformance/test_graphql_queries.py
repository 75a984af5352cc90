"""The queries of the SDKs' suites and helpers (graphql.md §16) and of the dev UI (§17), against a real app's runs."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from .harness import GraphQLError, wait_until

if TYPE_CHECKING:
    from .harness import App, Json

STEP_INFO = """stepInfo { __typename
  ... on InvokeStepInfo { triggeringEventID functionID timeout returnEventID runID timedOut }
  ... on SleepStepInfo { sleepUntil }
  ... on WaitForEventStepInfo { eventName expression timeout foundEventID timedOut }
  ... on WaitForSignalStepInfo { signal timeout timedOut }
  ... on RunStepInfo { type } }"""
UI_SPAN = f"""name status attempts queuedAt scheduledAt startedAt endedAt isRoot isUserland
  userlandSpan {{ spanName spanKind serviceName resourceAttrs scopeName scopeVersion spanAttrs }}
  metadata {{ scope kind values updatedAt }} outputID groupID debugRunID debugSessionID spanID stepID stepOp stepType
  {STEP_INFO} response {{ statusCode headers }}"""
GO_SPAN = (
    f"""name runID status attempts isRoot parentSpanID spanID startedAt endedAt duration outputID stepOp {STEP_INFO}"""
)


def nested(span: str, levels: int) -> str:
    return f"{{ ...{span} " + (f"childrenSpans {nested(span, levels - 1)} }}" if levels else "}")


UI_TREE = nested("UI", 5)
UI = f"fragment UI on RunTraceSpan {{ {UI_SPAN} }}"
GO = f"fragment GO on RunTraceSpan {{ {GO_SPAN} }}"
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


def since() -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()


@pytest.fixture
def event(any_app: App) -> str:
    return any_app.send("two-steps")


@pytest.fixture
def run(any_app: App, event: str) -> str:
    """A run with two steps, ended."""
    return any_app.platform.wait_run(any_app.platform.runs_of(event)[0]).id


def ask(app: App, query: str, /, **variables: object) -> Json:
    response = app.platform.http.post("/v0/gql", json={"query": query, "variables": variables})
    assert response.status_code == 200, response.text
    answer = response.json()
    if answer.get("errors"):
        raise GraphQLError(answer["errors"])
    data: Json = answer["data"]
    return data


# §16: suites and helpers


def test_the_python_helper(any_app: App, run: str, event: str) -> None:
    found = ask(any_app, "query($id: ID!) { event(query: {eventId: $id}) { functionRuns { id } } }", id=event)
    assert found["event"]["functionRuns"] == [{"id": run}]
    found = ask(
        any_app, "query($id: String!) { run(runID: $id) { output status } runTrigger(runID: $id) { payloads } }", id=run
    )
    assert found["run"]["status"] == "COMPLETED"
    assert json.loads(found["run"]["output"]) == {"a": 1, "b": {"sum": 2}}
    assert json.loads(found["runTrigger"]["payloads"][0])["name"] == any_app.event("two-steps")
    query = "query($id: String!) { run(runID: $id) { trace { childrenSpans { name outputID } } } }"
    spans = ask(any_app, query, id=run)["run"]["trace"]["childrenSpans"]
    output_id = next(span["outputID"] for span in spans if span["name"] == "first")
    output = "query($id: String!) { runTraceSpanOutputByID(outputID: $id) { data error { message name stack } } }"
    assert ask(any_app, output, id=output_id)["runTraceSpanOutputByID"] == {"data": "1", "error": None}


def test_the_javascript_harness(any_app: App, run: str) -> None:
    query = "query($id: String!) { run(runID: $id) { status trace(preview: true) { status outputID } } }"
    trace = ask(any_app, query, id=run)["run"]["trace"]
    output = "query($id: String!) { runTraceSpanOutputByID(outputID: $id) { data error { message name stack cause } } }"
    found = ask(any_app, output, id=trace["outputID"])["runTraceSpanOutputByID"]
    assert json.loads(found["data"]) == {"a": 1, "b": {"sum": 2}}
    assert found["error"] is None
    span = "name stepID spanID metadata { scope kind values updatedAt }"
    query = f"""query($id: String!, $preview: Boolean) {{ run(runID: $id) {{ trace(preview: $preview) {{
      {span} childrenSpans {{ {span} childrenSpans {{ {span} }} }} }} }} }}"""
    assert ask(any_app, query, id=run, preview=True)["run"]["trace"]["name"] == "Run"
    level = "name stepType attempts outputID status"
    query = f"""query($id: String!) {{ run(runID: $id) {{ trace(preview: true) {{ {level}
      childrenSpans {{ {level} childrenSpans {{ {level} }} }} }} }} }}"""
    spans = ask(any_app, query, id=run)["run"]["trace"]["childrenSpans"]
    assert any((span["name"], span["stepType"], span["attempts"]) == ("second", "RUN", 0) for span in spans)
    assert any((span["stepType"], span["status"]) == ("FINALIZATION", "COMPLETED") for span in spans)


def test_a_failed_step_for_the_javascript_suite(any_app: App) -> None:
    failed = any_app.once("step-fails", "FAILED").id
    query = """query($id: String!) { run(runID: $id) { trace(preview: true) {
      childrenSpans { name stepType attempts status outputID } } } }"""
    spans = ask(any_app, query, id=failed)["run"]["trace"]["childrenSpans"]
    wanted = {"name": "bad", "stepType": "RUN", "attempts": 1, "status": "FAILED"}
    found = [span for span in spans if wanted.items() <= span.items() and span["outputID"]]
    output = "query($id: String!) { runTraceSpanOutputByID(outputID: $id) { data error { message name stack cause } } }"
    error = ask(any_app, output, id=found[-1]["outputID"])["runTraceSpanOutputByID"]
    assert error["data"] is None
    assert (error["error"]["name"], error["error"]["message"]) == ("ValueError", "always")
    assert error["error"]["cause"] is None


def test_the_javascript_suite_looks_for_events(any_app: App, run: str, event: str) -> None:
    found = ask(any_app, "query($id: ULID!) { eventV2(id: $id) { idempotencyKey name raw } }", id=event)["eventV2"]
    assert json.loads(found["raw"])["id"] == found["idempotencyKey"] == event
    listed = ask(any_app, "{ events(query: {}) { id name payload } }")["events"]
    assert 0 < len(listed) <= 51
    query = "{ stream(query: {limit: 999, includeInternalEvents: false}) { id trigger runs { id function { name } } } }"
    item = next(item for item in ask(any_app, query)["stream"] if item["id"] == event)
    assert item["trigger"] == any_app.event("two-steps")
    assert [found["id"] for found in item["runs"]] == [run]


def test_the_go_suites(any_app: App, run: str, event: str) -> None:
    query = f"""query($first: Int!, $after: String, $filter: EventsFilter!) {{
      eventsV2(first: $first, after: $after, filter: $filter) {{ edges {{ node {{ name id occurredAt receivedAt raw
      runs {{ status id startedAt endedAt function {{ name slug }} }} }} }} totalCount {PAGE_INFO} }} }}"""
    where = {"from": since(), "until": None, "eventNames": [any_app.event("two-steps")], "query": None,
             "includeInternalEvents": False}  # fmt: skip
    page = ask(any_app, query, first=50, after=None, filter=where)["eventsV2"]
    node = next(edge["node"] for edge in page["edges"] if edge["node"]["id"] == event)
    assert [(one["id"], one["status"]) for one in node["runs"]] == [(run, "COMPLETED")]
    query = """query($id: ULID!) { eventV2(id: $id) { id idempotencyKey name occurredAt raw receivedAt
      runs { id function { name } status } version } }"""
    assert ask(any_app, query, id=event)["eventV2"]["version"] == ""
    assert ask(any_app, "{ functions { id name app { id externalID name } } }")["functions"]
    query = f"""query($first: Int!, $after: String, $filter: RunsFilterV2!) {{
      runs(first: $first, after: $after, filter: $filter, preview: true,
      orderBy: [{{field: QUEUED_AT, direction: ASC}}]) {{
      edges {{ cursor node {{ id status traceID startedAt queuedAt endedAt }} }} {PAGE_INFO}
      totalCount(preview: true) }} }}"""
    seen, page = list[str](), {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:  # other tests may have left many
        runs = ask(any_app, query, first=399, after=page["endCursor"], filter={"from": since(), "query": None})["runs"]
        seen, page = seen + [edge["node"]["id"] for edge in runs["edges"]], runs["pageInfo"]
    assert run in seen
    query = "query($id: ID!) { functionRun(query: {functionRunId: $id}) { output status } }"
    legacy = ask(any_app, query, id=run)["functionRun"]
    assert (legacy["status"], json.loads(legacy["output"])) == ("COMPLETED", {"a": 1, "b": {"sum": 2}})


@pytest.mark.parametrize("preview", [True, False])
def test_traces_of_the_go_suites(any_app: App, run: str, preview: bool) -> None:
    query = f"""query($id: String!, $preview: Boolean) {{ run(runID: $id) {{
      status traceID isBatch batchCreatedAt cronSchedule endedAt
      trace(preview: $preview) {nested("GO", 3)} }} }} {GO}"""
    found = ask(any_app, query, id=run, preview=preview)["run"]
    assert found["trace"]["isRoot"]
    output_id = found["trace"]["outputID"]
    query = (
        "query($id: String!) { output: runTraceSpanOutputByID(outputID: $id) { data error { message name stack } } }"
    )
    assert json.loads(ask(any_app, query, id=output_id)["output"]["data"]) == {"a": 1, "b": {"sum": 2}}


def test_a_poller_before_the_run_exists(any_app: App, event: str) -> None:
    with pytest.raises(GraphQLError, match="sql: no rows in result set"):
        ask(any_app, "query($id: String!) { run(runID: $id) { status } }", id=event)


# §17: the dev UI


def test_apps_of_the_ui(any_app: App) -> None:
    query = """query GetApps { apps { id name appVersion sdkLanguage sdkVersion framework url error connected
      functionCount autodiscovered method functions { id name slug } } }"""
    app = next(app for app in ask(any_app, query)["apps"] if app["name"] == any_app.id)
    assert app["functionCount"] == len(app["functions"]) > 50
    query = """query GetApp($id: UUID!) { app(id: $id) { id name appVersion sdkVersion sdkLanguage framework url method
      connected error functions { id name slug triggers { type value } } } }"""
    assert ask(any_app, query, id=app["id"])["app"]["connected"]
    query = f"""query GetWorkerConnections($appID: UUID!, $startTime: Time, $status: [ConnectV1ConnectionStatus!],
      $timeField: ConnectV1WorkerConnectionsOrderByField!, $cursor: String = null,
      $orderBy: [ConnectV1WorkerConnectionsOrderBy!] = [], $first: Int!) {{
      workerConnections(first: $first, filter: {{appIDs: [$appID], from: $startTime, status: $status,
      timeField: $timeField}}, orderBy: $orderBy, after: $cursor) {{
      edges {{ node {{ id gatewayId instanceId workerIp appVersion functionCount cpuCores memBytes os status
      connectedAt lastHeartbeatAt disconnectedAt sdkLang sdkVersion sdkPlatform app {{ id }} }} }} {PAGE_INFO}
      totalCount }} }}"""
    found = ask(any_app, query, appID=app["id"], startTime=None, status=[], timeField="CONNECTED_AT", first=40)
    assert found["workerConnections"]["totalCount"] == 0


def test_functions_of_the_ui(any_app: App) -> None:
    query = """query GetFunctions { functions { id slug name triggers { type value } app { name method } url } }"""
    assert any(found["slug"] == any_app.slug("two-steps") for found in ask(any_app, query)["functions"])
    query = """query GetFunction($slug: String!) { functionBySlug(query: {functionSlug: $slug}) { name id slug
      failureHandler { slug } concurrency config url appID app { name }
      triggers { type value condition } configuration {
        cancellations { event timeout condition } retries { value isDefault } priority
        eventsBatch { maxSize timeout key } concurrency { scope limit { value isPlanLimit } key }
        rateLimit { limit period key } debounce { period key } throttle { burst key limit period }
        singleton { mode key } } } }"""
    found = ask(any_app, query, slug=any_app.slug("fails-with-handler"))["functionBySlug"]
    assert found["failureHandler"]["slug"] == any_app.slug("fails-with-handler") + "-failure"


def test_runs_of_the_ui(any_app: App, run: str) -> None:
    query = """query GetRuns($appIDs: [UUID!], $startTime: Time!, $status: [FunctionRunStatus!],
      $timeField: RunsV2OrderByField!, $functionRunCursor: String = null, $celQuery: String = null,
      $isDeferred: Boolean = null, $preview: Boolean = false) {
      runs(filter: {appIDs: $appIDs, from: $startTime, status: $status, timeField: $timeField, query: $celQuery,
      isDeferred: $isDeferred}, orderBy: [{field: $timeField, direction: DESC}], after: $functionRunCursor,
      preview: $preview) { edges { node { app { externalID name } cronSchedule eventName function { name slug } id
      isBatch queuedAt endedAt startedAt status hasAI isDeferred } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    search = f'event.name == "{any_app.event("two-steps")}"'
    given: dict[str, Any] = {"startTime": since(), "timeField": "QUEUED_AT", "celQuery": search, "preview": True}
    nodes = [edge["node"] for edge in ask(any_app, query, **given)["runs"]["edges"]]
    mine = next(node for node in nodes if node["id"] == run)
    assert {node["function"]["slug"] for node in nodes} == {any_app.slug("two-steps")}
    assert (mine["status"], mine["hasAI"], mine["isDeferred"]) == ("COMPLETED", False, False)
    query = """query CountRuns($startTime: Time!, $timeField: RunsV2OrderByField!, $celQuery: String = null,
      $preview: Boolean = false) { runs(filter: {from: $startTime, timeField: $timeField, query: $celQuery},
      orderBy: [{field: $timeField, direction: DESC}], preview: $preview) { totalCount(preview: $preview) } }"""
    assert ask(any_app, query, **given)["runs"]["totalCount"] == len(nodes)


@pytest.mark.parametrize("preview", [True, False])
def test_a_run_of_the_ui(any_app: App, run: str, preview: bool) -> None:
    query = f"""query GetRun($runID: String!, $preview: Boolean) {{ run(runID: $runID) {{
      app {{ externalID name }} cronSchedule eventName function {{ id name slug app {{ name externalID }} }} id isBatch
      queuedAt startedAt endedAt status hasAI trace(preview: $preview) {UI_TREE} }} }} {UI}"""
    found = ask(any_app, query, runID=run, preview=preview)["run"]
    assert [span["status"] for span in found["trace"]["childrenSpans"]]
    assert found["hasAI"] is False
    found = ask(any_app, f"query GetRunTrace($runID: String!) {{ runTrace(runID: $runID) {UI_TREE} }} {UI}", runID=run)
    assert found["runTrace"]["name"] == "Run"


def test_panels_of_the_ui(any_app: App, run: str, event: str) -> None:
    defer = "hashedDeferID userlandDeferID fnSlug status runID function { id name slug } run { id status }"
    query = f"""query GetRunLinkage($runID: String!) {{ run(runID: $runID) {{ id isDeferred
      defers {{ {defer} }} siblingDefers {{ {defer} }}
      deferredFrom {{ runID function {{ name slug }} run {{ id status }} }}
      }} }}"""
    assert ask(any_app, query, runID=run)["run"]["defers"] == []
    query = """query GetTrigger($runID: String!) { runTrigger(runID: $runID) {
      IDs payloads timestamp eventName isBatch batchID cron } }"""
    found = ask(any_app, query, runID=run)["runTrigger"]
    assert (found["IDs"], found["eventName"]) == ([event], any_app.event("two-steps"))


def test_events_of_the_ui(any_app: App, run: str, event: str) -> None:
    query = """query GetEventsV2($startTime: Time!, $endTime: Time, $celQuery: String = null, $eventNames: [String!],
      $cursor: String = null, $includeInternalEvents: Boolean!) {
      eventsV2(first: 50, after: $cursor, filter: {from: $startTime, until: $endTime, query: $celQuery,
      eventNames: $eventNames, includeInternalEvents: $includeInternalEvents}) {
      edges { node { name id receivedAt runs { status id startedAt endedAt function { name slug } } } }
      totalCount pageInfo { hasNextPage endCursor hasPreviousPage startCursor } } }"""
    search = f'event.name == "{any_app.event("two-steps")}"'
    page = ask(any_app, query, startTime=since(), celQuery=search, includeInternalEvents=True)["eventsV2"]
    assert {edge["node"]["name"] for edge in page["edges"]} == {any_app.event("two-steps")}, "the search filters"
    query = """query GetEventV2($eventID: ULID!) { eventV2(id: $eventID) { name id receivedAt idempotencyKey occurredAt
      version source { name } } }"""
    assert ask(any_app, query, eventID=event)["eventV2"]["id"] == event
    assert ask(any_app, "query GetEventV2Payload($eventID: ULID!) { eventV2(id: $eventID) { raw } }", eventID=event)
    query = """query GetEventV2Runs($eventID: ULID!) { eventV2(id: $eventID) { name runs { status id startedAt endedAt
      function { name slug } trace(preview: true) { skipReason skipExistingRunID } } } }"""
    assert [found["id"] for found in ask(any_app, query, eventID=event)["eventV2"]["runs"]] == [run]
    query = """query GetEvent($id: ID!) { event(query: {eventId: $id}) { id name createdAt status pendingRuns raw
      functionRuns { id function { id name } status startedAt output
      waitingFor { expiryTime eventName expression } } } }"""
    assert ask(any_app, query, id=event)["event"]["status"] == "COMPLETED"


def test_commands_of_the_ui(any_app: App, run: str) -> None:
    query = """mutation InvokeFunction($functionSlug: String!, $data: Map, $user: Map, $meta: Map,
      $debugSessionID: ULID = null, $debugRunID: ULID = null) { invokeFunction(data: $data, functionSlug: $functionSlug,
      user: $user, meta: $meta, debugSessionID: $debugSessionID, debugRunID: $debugRunID) }"""
    assert ask(any_app, query, functionSlug=any_app.slug("no-step"), data={"a": 1}, user={})["invokeFunction"] is True
    query = """mutation Rerun($runID: ULID!, $debugRunID: ULID = null, $debugSessionID: ULID = null) {
      rerun(runID: $runID, debugRunID: $debugRunID, debugSessionID: $debugSessionID) }"""
    again = ask(any_app, query, runID=run)["rerun"]
    assert any_app.platform.wait_run(again).output == {"a": 1, "b": {"sum": 2}}
    query = "query($id: String!) { run(runID: $id) { trace(preview: true) { childrenSpans { name stepID } } } }"
    spans = ask(any_app, query, id=run)["run"]["trace"]["childrenSpans"]
    step = next(span["stepID"] for span in spans if span["name"] == "second")
    query = """mutation RerunFromStep($runID: ULID!, $fromStep: RerunFromStepInput!, $debugRunID: ULID = null,
      $debugSessionID: ULID = null) { rerun(runID: $runID, fromStep: $fromStep, debugRunID: $debugRunID,
      debugSessionID: $debugSessionID) }"""
    again = ask(any_app, query, runID=run, fromStep={"stepID": step})["rerun"]
    assert any_app.platform.wait_run(again).output == {"a": 1, "b": {"sum": 2}}
    asleep = any_app.start("sleep", {"ms": 60_000})
    any_app.platform.wait_span(asleep, "nap")
    found = ask(any_app, "mutation CancelRun($runID: ULID!) { cancelRun(runID: $runID) { id } }", runID=asleep)
    assert found["cancelRun"] == {"id": asleep}
    any_app.platform.wait_run(asleep, "CANCELLED")


def test_the_debugger_of_the_ui(any_app: App, run: str) -> None:
    slug = any_app.slug("two-steps")
    query = """mutation CreateDebugSession($input: CreateDebugSessionInput!) { createDebugSession(input: $input) {
      debugSessionID debugRunID } }"""
    session = ask(any_app, query, input={"functionSlug": slug, "runID": run})["createDebugSession"]
    query = """mutation Rerun($runID: ULID!, $debugRunID: ULID = null, $debugSessionID: ULID = null) {
      rerun(runID: $runID, debugRunID: $debugRunID, debugSessionID: $debugSessionID) }"""
    again = ask(any_app, query, runID=run, **session)["rerun"]
    any_app.platform.wait_run(again)
    query = (
        f"""query GetDebugRun($query: DebugRunQuery!) {{ debugRun(query: $query) {{ debugTraces {UI_TREE} }} }} {UI}"""
    )
    where = {"functionSlug": slug, "debugRunID": session["debugRunID"]}
    traces = wait_until(lambda: ask(any_app, query, query=where)["debugRun"]["debugTraces"])
    assert [trace["debugRunID"] for trace in traces] == [session["debugRunID"]]
    query = """query GetDebugSession($query: DebugSessionQuery!) { debugSession(query: $query) { debugRuns {
      status queuedAt startedAt endedAt debugRunID tags versions } } }"""
    where = {"functionSlug": slug, "debugSessionID": session["debugSessionID"]}
    assert ask(any_app, query, query=where)["debugSession"]["debugRuns"][0]["status"] == "COMPLETED"
