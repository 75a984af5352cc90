"""Experiments: which variants runs got, and what their scores come to (`protocol/http-apis.md` §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from holdfast.protocol.ids import ulid_time
from holdfast.server.api.common.cursors import id_cursor
from holdfast.server.api.rest.v2.app_operations import find_app
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    Sent,
    Shown,
    TimeRange,
    not_found,
    page_of,
    page_size,
    show_time,
)
from holdfast.server.api.rest.v2.fields import AppId, Cursor, From, FunctionId, Limit100, Until, read_place
from holdfast.server.api.rest.v2.function_operations import UNKNOWN, OwnedFunction, find_function, show_functions
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.run_operations import window
from holdfast.server.store.history import ExperimentFilter

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend
    from holdfast.server.store import history

_UUID: Final = 36


class ListExperiments(Sent):
    """A page of experiments."""

    cursor: Cursor = ""
    limit: Limit100 | None = None


class ListFunctionExperiments(Sent, kw_only=True):
    """A page of a function's experiments."""

    app_id: AppId
    function_id: FunctionId
    cursor: Cursor = ""
    limit: Limit100 | None = None


class GetExperiment(Sent, kw_only=True):
    """An experiment of a function, and which of its runs count."""

    app_id: AppId
    function_id: FunctionId
    experiment_id: Annotated[str, Meta(description="The experiment's id in the code.")]
    variant: Annotated[str, Meta(description="Only this variant.")] = ""
    from_: From = msgspec.field(name="from", default="")
    until: Until = ""


class ExperimentSummary(Shown, kw_only=True):
    """An experiment, in a list."""

    id: str
    function: OwnedFunction
    selection_strategy: str = ""
    variants: list[str]
    variant_count: int
    total_runs: int
    first_seen: str
    last_seen: str


class Metric(Shown, kw_only=True):
    """What the scores of one name come to."""

    key: str
    avg: float
    min: float
    max: float


class Variant(Shown, kw_only=True):
    """A variant, its runs and their scores."""

    variant_name: str
    run_count: int
    metrics: list[Metric] = []


class VariantWeight(Shown, kw_only=True):
    """How often a variant is chosen, beside the others' weights."""

    variant_name: str
    weight: float


class Experiment(Shown, kw_only=True):
    """An experiment. Variants that no run got are there as well."""

    id: str
    variants: list[Variant]
    variant_weights: list[VariantWeight] = []
    selection_strategy: str = ""
    first_seen: str = ""
    last_seen: str = ""


async def _list(backend: Backend, given: ListExperiments) -> Answer:
    return await _page(backend, given, "")


async def _list_of_function(backend: Backend, given: ListFunctionExperiments) -> Answer:
    app = await find_app(backend, given.app_id)
    function = await find_function(backend, app, given.function_id)
    return await _page(backend, given, function.id)


async def _page(backend: Backend, given: ListExperiments | ListFunctionExperiments, function_id: str) -> Answer:
    size = page_size(given.limit, 100)
    place = read_place(given.cursor)
    found = await backend.history.experiments(function_id, size + 1, (place[:_UUID], place[_UUID:]))
    shown = found[:size]
    functions = await show_functions(backend, {each.function_id for each in shown})
    cursor = id_cursor(shown[-1].function_id + shown[-1].name) if shown else ""
    summaries = [_summary(each, functions.get(each.function_id, UNKNOWN)) for each in shown]
    return Answer(summaries, page_of(found, size, cursor))


async def _get(backend: Backend, given: GetExperiment) -> Answer:
    since, until = window(given.from_, given.until)
    app = await find_app(backend, given.app_id)
    function = await find_function(backend, app, given.function_id)
    where = ExperimentFilter(function.id, given.experiment_id, given.variant, since, until)
    found = await backend.history.experiment(where)
    if found is None:
        raise not_found("Experiment not found")
    return Answer(_document(found, given.variant), time_range=TimeRange.of(given.from_, given.until))


def _summary(found: history.Experiment, function: OwnedFunction) -> ExperimentSummary:
    variants = _names(found)
    return ExperimentSummary(
        id=found.name, function=function, selection_strategy=found.strategy, variants=variants,
        variant_count=len(variants), total_runs=sum(each.runs for each in found.variants),
        first_seen=_seen(found.first_run), last_seen=_seen(found.last_run),
    )  # fmt: skip


def _document(found: history.Experiment, wanted: str) -> Experiment:
    had = {each.name: each for each in found.variants}
    variants = [
        _variant(name, had[name]) if name in had else Variant(variant_name=name, run_count=0)
        for name in _names(found)
        if not wanted or name == wanted
    ]
    return Experiment(
        id=found.name, variants=variants, selection_strategy=found.strategy,
        variant_weights=[VariantWeight(variant_name=name, weight=weight) for name, weight in found.weights.items()],
        first_seen=_seen(found.first_run), last_seen=_seen(found.last_run),
    )  # fmt: skip


def _names(found: history.Experiment) -> list[str]:
    """The variants that the code has, then those that it had."""
    return list(dict.fromkeys([*found.available, *(each.name for each in found.variants)]))


def _variant(name: str, had: history.Variant) -> Variant:
    metrics = [Metric(key=each.key, avg=each.avg, min=each.min, max=each.max) for each in had.metrics]
    return Variant(variant_name=name, run_count=had.runs, metrics=metrics)


def _seen(run_id: str) -> str:
    return show_time(ulid_time(run_id)) if run_id else ""


OPERATIONS: Final = (
    Operation(
        id="ListExperiments", method="GET", path="/experiments", summary="List experiments",
        description="List the experiments of all functions, in pages.",
        request=ListExperiments, run=runner(ListExperiments, _list), answer=list[ExperimentSummary], paged=True,
        command="list-experiments",
    ),
    Operation(
        id="ListFunctionExperiments", method="GET", path="/apps/{app_id}/functions/{function_id}/experiments",
        summary="List experiments of a function", description="List the experiments of a function, in pages.",
        request=ListFunctionExperiments, run=runner(ListFunctionExperiments, _list_of_function),
        answer=list[ExperimentSummary], paged=True, errors=(404,),
        command="list-function-experiments",
    ),
    Operation(
        id="GetExperiment", method="GET",
        path="/apps/{app_id}/functions/{function_id}/experiments/{experiment_id:path}", summary="Get experiment",
        description="Get an experiment: the runs of each variant, and the mean, minimum and maximum of their scores.",
        request=GetExperiment, run=runner(GetExperiment, _get), answer=Experiment, errors=(404,),
        command="get-experiment",
    ),
)  # fmt: skip
