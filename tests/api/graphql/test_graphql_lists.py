"""No list costs a statement per row: whatever is asked of forty rows takes as many statements as for two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.book import FUNCTION_ID, START, Book, deferred

from holdfast.protocol.ids import ulid
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.readers import Readers

if TYPE_CHECKING:
    from .conftest import Api

OTHER = "e228af85-a7ec-57a1-a5e2-42c4ea7768e6"
EVER = '{from: "2020-01-01T00:00:00Z"}'
SPAN = "name status outputID run { id status function { name } } metadata { kind } response { statusCode }"
RUN = f"""id output hasAI isDeferred app {{ name functions {{ slug app {{ name }} }} functionCount }}
  function {{ name app {{ name }} failureHandler {{ slug }} triggers {{ value }} }} why {{ text }}
  trace(preview: true) {{ {SPAN} childrenSpans {{ {SPAN} }} }} legacy: trace {{ {SPAN} childrenSpans {{ {SPAN} }} }}
  defers {{ status run {{ status function {{ name }} }} function {{ slug }} }}
  siblingDefers {{ status }} deferredFrom {{ run {{ status }} function {{ slug }} }}"""
EVENT_RUN = f"""id output hasAI app {{ name }} function {{ name app {{ name }} }} why {{ text }}
  trace(preview: true) {{ {SPAN} childrenSpans {{ {SPAN} }} }}
  defers {{ status run {{ status }} function {{ slug }} }}"""
LEGACY = """id status output function { slug app { name } } event { name raw } events { name } pendingSteps
  history { type stepName }"""

RUN_PAGE = f"""query($n: Int!) {{ runs(first: $n, orderBy: [], filter: {EVER}) {{
  edges {{ node {{ {RUN} }} }} totalCount }} }}"""
EVENT_PAGE = f"""query($n: Int!) {{ eventsV2(first: $n, filter: {EVER}) {{
  edges {{ node {{ raw version runs {{ {EVENT_RUN} }} }} }} totalCount }} }}"""
STREAM = f"query($n: Int!) {{ stream(query: {{limit: $n}}) {{ id inBatch runs {{ {LEGACY} }} }} }}"
#: Each query, and the most statements that it takes for any number of rows.
QUERIES = {"runs": (RUN_PAGE, 17), "eventsV2": (EVENT_PAGE, 18), "stream": (STREAM, 12)}
#: Lists without a page size.
FUNCTION = "slug configuration { retries { value } } failureHandler { slug } app { name }"
WHOLE = {
    "apps": (f"{{ apps {{ name functionCount functions {{ {FUNCTION} }} }} }}", 5),
    "functions": ("{ functions { slug url app { name functions { slug } } failureHandler { slug app { name } } } }", 5),
    "events": (f"{{ events(query: {{}}) {{ id status totalRuns pendingRuns functionRuns {{ {LEGACY} }} }} }}", 12),
}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    original = Readers.call

    async def counting(self: Any, work: Any) -> Any:
        calls.append("call")
        return await original(self, work)

    monkeypatch.setattr(Readers, "call", counting)
    return calls


def fill(api: Api, runs: int) -> None:
    """Runs of two functions, with steps, retries, defers and events of their own; some failed, some live."""
    library = api.library
    for number in range(runs):
        at = START + number * 10
        event = ulid(at, number)
        library.event(event, "rec/event", at, {"n": number}, external_id=f"e{number}")
        function = FUNCTION_ID if number % 2 else OTHER
        book = Book(number, start=at, event_ids=[event], function_id=function, state=deferred("rec-py-two-steps"))
        book.step("a", 1).step_errors("b")
        if number % 3:
            book.returns({"n": number})
        library.run(book)
        detail = RunDetail(deferred_from=book.id)
        child = Book(1_000 + number, start=at + 5, function_id=OTHER, detail=detail, event_ids=[event])
        library.run(child.end(RunStatus.FAILED, {"message": "x"}))


@pytest.fixture
def filled(api: Api) -> None:
    api.library.app()
    api.library.app(id="38628d2f-3dcc-5cc3-9130-381291504e64", name="second")
    api.library.function()
    api.library.function(OTHER, "rec-py-two-steps")
    fill(api, 40)
    api.backend.now = START + 1_000


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", QUERIES)
def test_a_page_of_many_is_as_cheap_as_one_of_few(api: Api, counted: list[str], name: str) -> None:
    query, most = QUERIES[name]
    counts = []
    for number in (4, 40):
        counted.clear()
        api.data(query, n=number)
        counts.append(len(counted))
    # What is asked for in one turn goes into one call; threads that answer in another order may split two.
    assert counts[1] <= counts[0] + 2
    assert counts[1] <= most


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", WHOLE)
def test_whole_lists(api: Api, counted: list[str], name: str) -> None:
    query, most = WHOLE[name]
    api.data(query)
    few = len(counted)
    for number in range(20):
        app = f"00000000-0000-4000-8000-0000000000{number:02}"
        api.library.app(id=app, name=f"app-{number}")
        api.library.function(f"00000000-0000-4000-9000-0000000000{number:02}", f"app-{number}-f", app_id=app)
    counted.clear()
    api.data(query)
    assert len(counted) <= few
    assert len(counted) <= most


@pytest.mark.usefixtures("filled")
def test_one_run_with_many_events(api: Api, counted: list[str]) -> None:
    """A batch of a hundred events: its trigger, its outputs, its legacy events."""
    events = [ulid(START + 90_000 + number, number) for number in range(100)]
    for number, event in enumerate(events):
        api.library.event(event, "rec/event", START + 90_000 + number, {"n": number})
    book = Book(5_000, start=START + 95_000, event_ids=events, batch_id=ulid(START + 95_000, 1)).returns(1)
    run = api.library.run(book)
    counted.clear()
    found = api.data(
        """query($run: String!, $id: ID!) { runTrigger(runID: $run) { IDs payloads isBatch }
        functionRun(query: {functionRunId: $id}) { events { name raw } } }""", run=run, id=run,
    )  # fmt: skip
    assert len(found["runTrigger"]["payloads"]) == len(found["functionRun"]["events"]) == 100
    assert len(counted) <= 3


@pytest.mark.usefixtures("filled")
def test_many_roots_share_their_statements(api: Api, counted: list[str]) -> None:
    ids = [edge["node"]["id"] for edge in api.data(
        f"{{ runs(first: 40, orderBy: [], filter: {EVER}) {{ edges {{ node {{ id }} }} }} }}"
    )["runs"]["edges"]]  # fmt: skip
    counted.clear()
    query = " ".join(
        f'r{n}: run(runID: "{id}") {{ status trace(preview: true) {{ name }} }}' for n, id in enumerate(ids)
    )
    assert len(api.data("{ " + query + " }")) == 40
    assert len(counted) <= 2
