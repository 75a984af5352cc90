"""Experiments over REST v2: what the SDK's steps and scores tell of them (`http-apis.md` §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.api.telemetry import Rig

from holdfast.protocol.ids import step_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/apps/shop/functions/charge/experiments"
FUNCTION = {"id": "charge", "name": "charge", "app": {"id": "shop"}}
WEIGHTS = {"small": 1, "large": 3}


def reply(_headers: dict[str, str], body: Any) -> tuple[int, Any]:
    """Two steps as `inngest` 4.24 sends them: one chooses a variant, one is a score."""
    asked = body["event"]["data"]
    choice, score = step_hash("model"), step_hash("quality")
    if choice not in body["steps"]:
        about = {"name": asked["experiment"], "variant": asked["variant"], "selection_strategy": "weighted"}
        about |= {"available_variants": ["small", "large", "unused"], "variant_weights": WEIGHTS}
        return 206, [step(choice, "model", "inngest.experiment", "step", "set", about)]
    if "score" in asked and score not in body["steps"]:
        values = asked.get("values", {"quality": {"value": asked["score"]}})
        return 206, [step(score, "quality", "inngest.score", "run", asked.get("op", "merge"), values)]
    return 200, "done"


def step(id: str, name: str, kind: str, scope: str, op: str, values: Any) -> Any:
    metadata = [{"kind": kind, "scope": scope, "op": op, "values": values}]
    return {"op": "StepRun", "id": id, "name": name, "displayName": name, "data": 1, "metadata": metadata}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(reply) as rig:
        yield rig


def run(rig: Rig, variant: str, experiment: str = "model", **more: Any) -> str:
    return rig.run_of({"name": "go", "data": {"experiment": experiment, "variant": variant, **more}})


def get(rig: Rig, path: str, status: int = 200) -> Any:
    answer = rig.client.get(f"/api/v2{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def queued(rig: Rig, run: str) -> str:
    return str(get(rig, f"/runs/{run}")["data"]["queuedAt"])


def metrics(rig: Rig, path: str = f"{PATH}/model") -> dict[str, Any]:
    """The metrics of each variant that has some."""
    variants = get(rig, path)["data"]["variants"]
    return {each["variantName"]: each["metrics"] for each in variants if "metrics" in each}


def test_an_experiment(rig: Rig) -> None:
    first = run(rig, "small", score=0.5)
    run(rig, "small", score=1)
    last = run(rig, "large", score=True)
    (listed,) = get(rig, "/experiments")["data"]
    assert listed == {
        "id": "model", "function": FUNCTION, "selectionStrategy": "weighted", "totalRuns": 3, "variantCount": 3,
        "variants": ["small", "large", "unused"], "firstSeen": queued(rig, first), "lastSeen": queued(rig, last),
    }  # fmt: skip
    assert get(rig, PATH)["data"] == [listed]
    assert get(rig, f"{PATH}/model")["data"] == {
        "id": "model", "selectionStrategy": "weighted",
        "variants": [
            {"variantName": "small", "runCount": 2, "metrics": [{"key": "quality", "avg": 0.75, "min": 0.5, "max": 1}]},
            {"variantName": "large", "runCount": 1, "metrics": [{"key": "quality", "avg": 1, "min": 1, "max": 1}]},
            {"variantName": "unused", "runCount": 0},
        ],
        "variantWeights": [{"variantName": "small", "weight": 1}, {"variantName": "large", "weight": 3}],
        "firstSeen": queued(rig, first), "lastSeen": queued(rig, last),
    }  # fmt: skip


def test_a_variant_and_a_window(rig: Rig) -> None:
    runs = [run(rig, variant, score=score) for score, variant in enumerate(("small", "large", "small"))]
    only = get(rig, f"{PATH}/model?variant=large")["data"]
    assert [(each["variantName"], each["runCount"]) for each in only["variants"]] == [("large", 1)]
    window = f"from=2020-01-01T00:00:00Z&until={queued(rig, runs[0])}"
    early = get(rig, f"{PATH}/model?{window}")
    assert [each["runCount"] for each in early["data"]["variants"]] == [1, 0, 0]
    assert early["data"]["variants"][0]["metrics"] == [{"key": "quality", "avg": 0, "min": 0, "max": 0}]
    assert early["metadata"]["timeRange"]["until"] == queued(rig, runs[0])
    nothing = get(rig, f"{PATH}/model?until=2020-01-01T00:00:00Z")["data"]
    assert [each["runCount"] for each in nothing["variants"]] == [0, 0, 0]
    assert "firstSeen" not in nothing


def test_scores_over_http_count_as_those_of_steps_do(rig: Rig) -> None:
    id = run(rig, "small")
    scores = [
        {"name": "taste", "value": 4, "experiment": {"id": "model", "variant": "small"}},
        {"name": "speed", "value": 2, "stepId": "model"},
    ]
    assert rig.client.post(f"/api/v2/runs/{id}/scores", json=scores).status_code == 200
    assert [(each["key"], each["avg"]) for each in metrics(rig)["small"]] == [("speed", 2), ("taste", 4)]
    shown = get(rig, f"{PATH}/model")["data"]
    assert shown["selectionStrategy"] == "weighted"  # a score tells less of it, and takes nothing away
    assert len(shown["variants"]) == 3

    def change(op: str, values: Any) -> None:
        body = {"metadata": [{"kind": "inngest.score", "op": op, "values": values}], "target": {}}
        answer = rig.client.post(f"/v1/runs/{id}/metadata", json=body)
        assert answer.status_code in {200, 201}, answer.text

    change("merge", {"taste": {"value": 6}})
    assert {each["key"]: each["avg"] for each in metrics(rig)["small"]} == {"speed": 2, "taste": 6}
    change("set", {"other": {"value": False}})
    assert {each["key"]: each["avg"] for each in metrics(rig)["small"]} == {"speed": 2, "other": 0}
    change("delete", {"other": {}})
    assert {each["key"]: each["avg"] for each in metrics(rig)["small"]} == {"speed": 2}


def test_an_experiment_that_is_known_from_scores_alone(rig: Rig) -> None:
    id = run(rig, "small")
    score = {"name": "taste", "value": 4, "experiment": {"id": "by/hand", "variant": "x"}}
    assert rig.client.post(f"/api/v2/runs/{id}/scores", json=[score]).status_code == 200
    found = get(rig, f"{PATH}/by/hand")["data"]
    assert found["variants"][0]["metrics"] == [{"key": "taste", "avg": 4, "min": 4, "max": 4}]
    assert "selectionStrategy" not in found


def test_pages(rig: Rig) -> None:
    for name in ("e3", "e1", "e2", "e4", "e5"):
        run(rig, "small", name)
    for path in ("/experiments", PATH):
        seen: list[str] = []
        cursor = ""
        while True:
            page = get(rig, f"{path}?limit=2&cursor={quote(cursor, safe='')}")
            seen += [each["id"] for each in page["data"]]
            if not page["page"].get("hasMore"):
                break
            cursor = page["page"]["cursor"]
        assert seen == ["e1", "e2", "e3", "e4", "e5"]


@pytest.mark.parametrize(
    "values",
    [
        {"quality": 5}, {"quality": {"value": "5"}}, {"quality": {"value": None}}, {},
        {"quality": {"value": [1]}}, {"quality": []},
    ],
)  # fmt: skip
def test_what_is_no_score_is_none(rig: Rig, values: Any) -> None:
    run(rig, "small", score=1, values=values)
    assert metrics(rig) == {}


def test_what_is_no_experiment_is_none(rig: Rig) -> None:
    for experiment, variant in (("", "a"), ("a", ""), (5, "a"), ("a", None)):
        run(rig, variant, experiment)  # type: ignore[arg-type]
    assert "data" not in get(rig, "/experiments")


@pytest.mark.parametrize(
    "metadata",
    [
        b'"inngest.score"', b'[5, "inngest.score"]', b'[{"kind":"inngest.score","values":5}]', b"null",
        b'{"kind":"inngest.experiment"}', b'[{"kind":"inngest.score","values":{"a":{"value":1e400}}}]',
        b'[{"kind":"inngest.score","values":{"a":{"value":' + b"9" * 5_000 + b"}}}]",
        b'[{"kind":"inngest.score","values":{"a":' + b"[" * 100 + b"]" * 100 + b"}}]",
        b'[{"kind":"inngest.score","values":{"\\ud800":{"value":1}}}]',
    ],
)  # fmt: skip
def test_whatever_a_step_sends_its_run_goes_on(metadata: bytes) -> None:
    """It is read in the commit, which must not fail."""
    id = step_hash("s")

    def odd(_headers: dict[str, str], body: Any) -> tuple[int, Any]:
        if id in body["steps"]:
            return 200, "done"
        op = b'[{"op":"StepRun","id":"%s","name":"s","displayName":"s","data":1,"metadata":%s}]'
        return 206, op % (id.encode(), metadata)

    with Rig(odd) as rig:
        assert get(rig, f"/runs/{run(rig, '')}")["data"]["status"] == "COMPLETED"
        assert "data" not in get(rig, "/experiments")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (f"{PATH}/none", 404, "Experiment not found"), ("/apps/none/functions/x/experiments", 404, "App not found"),
        ("/apps/shop/functions/none/experiments", 404, "Function not found"), ("/experiments?limit=101", 400, "100"),
        ("/experiments?cursor=x", 400, "Cursor is invalid"), (f"{PATH}/model?from=now", 400, 'parsing field "from"'),
    ],
)  # fmt: skip
def test_bad_input(rig: Rig, path: str, status: int, text: str) -> None:
    (error,) = get(rig, path, status)["errors"]
    assert text in error["message"]
