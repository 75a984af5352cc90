"""Scores of runs and steps, kept as their metadata (`protocol/http-apis.md` §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from holdfast.server.api.rest.v2.envelope import Answer, RefusalError, Sent, Shown, invalid
from holdfast.server.api.rest.v2.fields import RunId
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.run_operations import checked_run_id, find_run
from holdfast.server.model.experiment import EXPERIMENT, SCORE
from holdfast.server.telemetry.metadata import MetadataError, Target, Update, is_finite, score_name_problem

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend

_MOST: Final = 100
_MAX_NAME: Final = 128  # bytes


class ScoredVariant(Sent):
    """A variant of an experiment, which a score is about."""

    id: Annotated[str, Meta(description="The experiment.")] = ""
    variant: Annotated[str, Meta(description="The variant of the run.")] = ""


class Score(Sent):
    """A score."""

    name: Annotated[str, Meta(description="Name of the score; at most 128 bytes.")] = ""
    value: Annotated[bool | int | float | None, Meta(description="A number, true or false.")] = None
    step_id: Annotated[str, Meta(description="The scored step, by its id in the code (default: the run).")] | None = (
        None
    )
    experiment: ScoredVariant | None = None


class CreateScores(Sent):
    """Scores for a run."""

    run_id: RunId
    scores: Annotated[list[Score], Meta(extra_json_schema={"minItems": 1, "maxItems": _MOST})]


class ScoreVariant(Shown):
    """A variant of an experiment."""

    id: str
    variant: str


class RecordedScore(Shown):
    """A score as it is kept."""

    run_id: str
    name: str
    value: bool | int | float
    step_id: str = ""
    experiment: ScoreVariant | None = None


async def _create(backend: Backend, given: CreateScores) -> Answer:
    run_id = checked_run_id(given.run_id)
    if not 1 <= len(given.scores) <= _MOST:
        raise invalid(f"scores must have 1 to {_MOST} items")
    for place, score in enumerate(given.scores):
        if problem := _problem(score):
            raise invalid(f"scores[{place}]: {problem}")
    await find_run(backend, run_id)
    return Answer([await _record(backend, run_id, score) for score in given.scores])


async def _record(backend: Backend, run_id: str, score: Score) -> RecordedScore:
    updates = [Update(SCORE, {score.name: {"value": score.value}})]
    variant = score.experiment
    if variant is not None:
        updates.append(Update(EXPERIMENT, {"name": variant.id, "variant": variant.variant}))
    try:
        await backend.record_metadata(run_id, Target(step_id=score.step_id), updates)
    except MetadataError as error:
        code = {403: "access_denied", 413: "validation_error"}.get(error.status, "invalid_field_format")
        raise RefusalError(error.status, code, error.text) from None
    assert score.value is not None
    return RecordedScore(
        run_id=run_id, name=score.name, value=score.value, step_id=score.step_id or "",
        experiment=ScoreVariant(id=variant.id, variant=variant.variant) if variant is not None else None,
    )  # fmt: skip


def _problem(score: Score) -> str:
    """Return what is wrong with a score; nothing if it is good."""
    if problem := score_name_problem(score.name):
        return problem
    if not is_finite(score.value):
        return "value must be a finite number, true or false"
    if score.step_id is not None and not score.step_id.strip():
        return "stepId must not be blank"
    if score.experiment is None:
        return ""
    if score.step_id is not None:
        return "a score of an experiment belongs to the run: leave out stepId"
    sizes = [len(text.encode("utf-8", "replace")) for text in (score.experiment.id, score.experiment.variant)]
    return "" if all(0 < size <= _MAX_NAME for size in sizes) else "experiment needs id and variant, at most 128 bytes"


OPERATIONS: Final = (
    Operation(
        id="CreateScores", method="POST", path="/runs/{run_id}/scores", summary="Create scores",
        description="Record scores of a run or its steps, in order: on an error, those before it are kept.",
        request=CreateScores, run=runner(CreateScores, _create), answer=list[RecordedScore], body="scores",
        required=("scores",), errors=(403, 404, 413), command="create-score",
    ),
)  # fmt: skip
