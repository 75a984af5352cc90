"""Functions: what they are, and invoking them (`protocol/http-apis.md` §10.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from holdfast.server.api.common.backend import InvokeOutcome
from holdfast.server.api.rest.v2.app_operations import find_app, read_cursor
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    RefusalError,
    Sent,
    Shown,
    invalid,
    missing,
    not_found,
    page_of,
    page_size,
)
from holdfast.server.api.rest.v2.fields import AppId, Cursor, FunctionId, Limit100, Object, sent
from holdfast.server.api.rest.v2.function_configuration import (
    Configuration,
    Trigger,
    read_config,
    show_configuration,
    show_triggers,
)
from holdfast.server.api.rest.v2.operation import Operation, runner

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.app import AppRecord, FunctionRecord

_FAILURE: Final = "-failure"


class GetFunctions(Sent):
    """A page of an app's functions."""

    app_id: AppId
    cursor: Cursor = ""
    limit: Limit100 | None = None


class GetFunction(Sent):
    """One function."""

    app_id: AppId
    function_id: FunctionId


class InvokeFunction(Sent):
    """A run that is asked for."""

    app_id: AppId
    function_id: FunctionId
    data: Annotated[Object, Meta(description="Passed to the function as `event.data`.")] | UnsetType = UNSET
    idempotency_key: Annotated[
        str, Meta(description="Repeating it within 24 hours starts nothing and returns 409 with the first run's id.")
    ] = ""


class AppRef(Shown):
    """An app by its id."""

    id: str


class FunctionRef(Shown):
    """A function by its id."""

    id: str
    name: str = ""


class OwnedFunction(Shown, kw_only=True):
    """A function, and whose it is."""

    id: str
    name: str = ""
    app: AppRef


class Function(Shown, kw_only=True):
    """A function. `id` and `slug` are what its code calls it."""

    id: str
    slug: str
    name: str
    app: AppRef
    is_paused: bool = False
    is_archived: bool = False
    triggers: list[Trigger] = []
    failure_handler: FunctionRef | None = None
    configuration: Configuration


class InvokedRun(Shown):
    """The run that was started."""

    run_id: str


def local_id(function: FunctionRecord, app: AppRecord | None) -> str:
    """A function's id as its code has it: without the app's."""
    return function.slug.removeprefix(f"{app.name}-") if app is not None else function.slug


async def show_functions(backend: Backend, ids: Collection[str]) -> dict[str, OwnedFunction]:
    """Functions by their internal ids, as lists show them."""
    found = await backend.history.functions_by_id(ids)
    apps = await backend.history.apps_by_id({function.app_id for function in found.values()})
    shown: dict[str, OwnedFunction] = {}
    for id, function in found.items():
        app = apps.get(function.app_id)
        ref = AppRef(id=app.name if app is not None else "")
        shown[id] = OwnedFunction(id=local_id(function, app), name=function.name, app=ref)
    return shown


async def find_function(backend: Backend, app: AppRecord, given: str) -> FunctionRecord:
    """Return a function of an app by its id. Raises RefusalError."""
    slugs = [f"{app.name}-{given}", given]
    found = await backend.history.functions_by_slug(slugs)
    for slug in slugs:
        if slug in found and found[slug].app_id == app.id:
            return found[slug]
    raise not_found("Function not found")


UNKNOWN: Final = OwnedFunction(id="", app=AppRef(id=""))
"""In place of a function that is gone."""


async def _functions(backend: Backend, given: GetFunctions) -> Answer:
    size = page_size(given.limit, 100)
    after = read_cursor(given.cursor)
    app = await find_app(backend, given.app_id)
    known = (await backend.history.functions_of_apps([app.id])).get(app.id, [])
    slugs = {function.slug: function for function in known}
    rows = sorted((each for each in known if each.id > after), key=lambda each: each.id)[: size + 1]
    shown = rows[:size]
    documents = [_document(backend, app, each, slugs) for each in shown]
    return Answer(documents, page_of(rows, size, shown[-1].id if shown else ""))


async def _function(backend: Backend, given: GetFunction) -> Answer:
    app = await find_app(backend, given.app_id)
    function = await find_function(backend, app, given.function_id)
    siblings = await backend.history.functions_by_slug([function.slug + _FAILURE])
    return Answer(_document(backend, app, function, siblings))


async def _invoke(backend: Backend, given: InvokeFunction) -> Answer:
    data = sent(given.data)
    for value, name in ((given.app_id, "App ID"), (given.function_id, "Function ID"), (data, "Input data")):
        if not value:
            raise missing(f"{name} is required")
    if data[:1] != b"{":
        raise invalid("Input data must be an object")
    try:
        app = await find_app(backend, given.app_id)
    except RefusalError:
        raise not_found("Function not found") from None
    function = await find_function(backend, app, given.function_id)
    found = await backend.invoke_function(function.id, data, given.idempotency_key)
    if found.outcome in _NOT_STARTED:
        raise RefusalError(422, *_NOT_STARTED[found.outcome])
    return Answer(InvokedRun(run_id=found.run_id), status=409 if found.outcome is InvokeOutcome.REPEATED else 200)


_NOT_STARTED: Final = {
    InvokeOutcome.RATE_LIMITED: ("rate_limited", "The function's rate limit is reached: no run was started"),
    InvokeOutcome.DEBOUNCED: (
        "function_debounced",
        "The function is debounced: its run starts when no more events come",
    ),
    InvokeOutcome.BATCHED: (
        "function_debounced",
        "The function is batched: its run starts when the batch is full or times out",
    ),
    InvokeOutcome.SKIPPED: ("function_skipped", "The run was skipped: the function is paused or is a singleton"),
}


def _document(
    backend: Backend, app: AppRecord, function: FunctionRecord, siblings: Mapping[str, FunctionRecord]
) -> Function:
    config = read_config(function.config)
    id, handler = local_id(function, app), siblings.get(function.slug + _FAILURE)
    return Function(
        id=id, slug=id, name=function.name, app=AppRef(id=app.name),
        is_paused=backend.paused(function.id) is not None, is_archived=function.archived_at is not None,
        triggers=show_triggers(config), configuration=show_configuration(config),
        failure_handler=FunctionRef(id=local_id(handler, app), name=handler.name) if handler is not None else None,
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        id="GetFunctions", method="GET", path="/apps/{app_id}/functions", summary="Get functions",
        description="List the functions of an app, with their configuration.",
        request=GetFunctions, run=runner(GetFunctions, _functions), answer=list[Function], paged=True, errors=(404,),
        tool="list_functions", command="get-functions",
    ),
    Operation(
        id="GetFunction", method="GET", path="/apps/{app_id}/functions/{function_id}", summary="Get function",
        description="Get a function of an app, with its configuration.",
        request=GetFunction, run=runner(GetFunction, _function), answer=Function, errors=(404,),
        tool="get_function", command="get-function",
    ),
    Operation(
        id="InvokeFunction", method="POST", path="/apps/{app_id}/functions/{function_id}/invoke",
        summary="Invoke function",
        description="Start a run of a function and return its id, with which its result can be fetched.",
        request=InvokeFunction, run=runner(InvokeFunction, _invoke), answer=InvokedRun, required=("data",),
        errors=(404, 409, 422), tool="invoke_function", command="invoke-function",
    ),
)  # fmt: skip
