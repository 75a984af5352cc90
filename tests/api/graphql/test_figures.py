"""Figures of GraphQL: runs over time, how long they waited and took, and their steps. Extensions of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.book import FUNCTION_ID, START, Book

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from tests.api.conftest import Api

MINUTE = 60_000
OTHER = "e228af85-a7ec-57a1-a5e2-42c4ea7768e6"


def time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)


@pytest.fixture
def filled(api: Api) -> Api:
    """Three runs of one function in the first minute, one of another in the second; steps of 10 ms each."""
    api.library.app()
    api.library.function()
    api.library.function(OTHER, "rec-py-two-steps")
    for number in range(3):
        book = Book(number, start=START + number * 1_000).step("load", 1).step("save", 2)
        api.library.run(book.returns({"n": number}))
    failing = Book(9, start=START + MINUTE, function_id=OTHER).step_errors("bad").step_errors("bad", retry=False)
    api.library.run(failing.end(RunStatus.FAILED, {"message": "x"}))
    api.backend.now = START + 2 * MINUTE
    return api


def latencies(api: Api, **more: Any) -> list[dict[str, Any]]:
    query = """query($from: Time!, $until: Time, $functionID: UUID, $bars: Int!) {
      runLatencies(from: $from, until: $until, functionID: $functionID, bars: $bars) {
        from until sampled queuedP50 queuedP95 tookP50 tookP95 } }"""
    given = {"from": time(START), "until": time(START + 2 * MINUTE), "bars": 2, **more}
    found: list[dict[str, Any]] = api.data(query, **given)["runLatencies"]
    return found


def test_latencies_of_all_functions_by_stretches(filled: Api) -> None:
    first, second = latencies(filled)
    assert first["until"] == second["from"] == time(START + MINUTE)
    assert (first["sampled"], second["sampled"]) == (3, 1)
    assert first["queuedP50"] == first["queuedP95"] == 5  # a book's run starts 5 ms after it was queued
    assert first["tookP50"] > 0
    assert first["tookP95"] >= first["tookP50"]


def test_latencies_of_one_function(filled: Api) -> None:
    assert [each["sampled"] for each in latencies(filled, functionID=OTHER)] == [0, 1]
    empty = latencies(filled, functionID=FUNCTION_ID)[1]
    assert (empty["sampled"], empty["queuedP95"], empty["tookP50"]) == (0, None, None)


def test_too_many_bars_are_refused(filled: Api) -> None:
    answer = filled.client.post(
        "/v0/gql", json={"query": f'{{ runLatencies(from: "{time(START)}", bars: 121) {{ sampled }} }}'}
    )
    assert "bars must be between 1 and 120" in answer.json()["errors"][0]["message"]


def test_steps_of_a_function_with_their_failed_attempts(filled: Api) -> None:
    query = """query($from: Time!) { functions { slug steps(from: $from) {
      name type runs failedAttempts p50 p95 max } health(from: $from) { completed failed queuedP50 queuedP95 } } }"""
    found = {each["slug"]: each for each in filled.data(query, **{"from": time(START)})["functions"]}
    steps = {step["name"]: step for step in found["rec-py-no-step"]["steps"]}
    assert set(steps) == {"load", "save"}
    assert (steps["load"]["runs"], steps["load"]["failedAttempts"]) == (3, 0)
    assert steps["load"]["p50"] == steps["load"]["max"] > 0
    (bad,) = found["rec-py-two-steps"]["steps"]
    assert (bad["name"], bad["failedAttempts"]) == ("bad", 2 - bad["runs"])
    assert found["rec-py-no-step"]["health"] == {"completed": 3, "failed": 0, "queuedP50": 5, "queuedP95": 5}


def test_runs_over_time(filled: Api) -> None:
    query = """query($filter: RunsFilterV2!) { runsHistogram(filter: $filter, bars: 2) { completed failed alive } }"""
    where = {"from": time(START), "until": time(START + 2 * MINUTE)}
    assert filled.data(query, filter=where)["runsHistogram"] == [
        {"completed": 3, "failed": 0, "alive": 0}, {"completed": 0, "failed": 1, "alive": 0},
    ]  # fmt: skip
