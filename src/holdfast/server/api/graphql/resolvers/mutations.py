"""Commands (`protocol/graphql.md` §9)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import msgspec

from holdfast.protocol.decode_errors import TOO_DEEP, beyond
from holdfast.protocol.rawjson import UNREADABLE, too_deep, unwritable
from holdfast.protocol.sessions import merge_sessions
from holdfast.protocol.urls import normalize_url, with_scheme
from holdfast.server.api.common.backend import CancelOutcome
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail
from holdfast.server.api.graphql.scalars import uuid_problem

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import PauseMode
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.model.app import AppRecord, FunctionRecord
    from holdfast.server.store.history import StoredRun

_PAUSE_MODES: Final[dict[str, PauseMode]] = {"queue": "queue", "skip": "skip"}


@resolver("Mutation.createApp")
async def _create_app(_source: None, context: Context, input: dict[str, str]) -> AppRecord:
    url = with_scheme(input["url"])
    if error := await context.ask(lambda backend: backend.create_app(url)):
        fail(error)
    found = [app for app in await context.history.apps() if app.url in {url, normalize_url(url)}]
    return found[0] if found else fail("There was an error creating your app")


@resolver("Mutation.updateApp")
async def _update_app(_source: None, context: Context, input: dict[str, str]) -> AppRecord:
    app_id = input["id"]
    if uuid_problem(app_id):
        fail("internal system error")
    if not await context.ask(lambda backend: backend.update_app(app_id.lower(), input["url"])):
        fail(NO_ROWS)
    return await context.apps.load(app_id.lower()) or fail(NO_ROWS)


@resolver("Mutation.deleteApp")
async def _delete_app(_source: None, context: Context, id: str) -> str:
    if problem := uuid_problem(id):
        fail(problem)
    await context.ask(lambda backend: backend.delete_app(id.lower()))
    return id


@resolver("Mutation.deleteAppByName")
async def _delete_app_by_name(_source: None, context: Context, name: str) -> bool:
    return await context.ask(lambda backend: backend.delete_app_by_name(name))


@resolver("Mutation.invokeFunction")
async def _invoke(
    _source: None,
    context: Context,
    function_slug: str,
    data: dict[str, object] | None = None,
    meta: dict[str, object] | None = None,
    user: dict[str, object] | None = None,
    debug_session_id: str | None = None,
    debug_run_id: str | None = None,
) -> bool:
    for key in meta or {}:
        if key != "sessions":
            fail(f'event meta "{key}" is not supported')
    try:
        sessions = merge_sessions(msgspec.json.encode(meta or {})) or None
    except ValueError as error:
        fail(str(error))
    await context.ask(
        lambda backend: backend.invoke(
            function_slug,
            data=_json("data", data),
            user=_json("user", user),
            sessions=sessions,
            debug_run_id=debug_run_id or "",
            debug_session_id=debug_session_id or "",
        )
    )
    return True


@resolver("Mutation.cancelRun")
async def _cancel_run(_source: None, context: Context, run_id: str) -> StoredRun:
    outcome = await context.ask(lambda backend: backend.cancel_run(run_id))
    if outcome is CancelOutcome.ENDED:
        fail("cannot cancel an ended run")
    if outcome is CancelOutcome.MISSING:
        fail("not found")
    return await context.runs.load(run_id) or fail("not found")


@resolver("Mutation.rerun")
async def _rerun(
    _source: None,
    context: Context,
    run_id: str,
    from_step: dict[str, str] | None = None,
    debug_session_id: str | None = None,
    debug_run_id: str | None = None,
) -> str:
    given = (from_step or {}).get("input")
    if given is not None and not _is_array(given):
        fail("input is not a valid JSON array")
    output = (from_step or {}).get("output")
    if output is not None:
        if given is not None:
            fail("set the step's input or its output, not both")
        if not _is_json(output):
            fail("output is not valid JSON")
    for name, text in (("input", given), ("output", output)):
        _check_sendable(name, (text or "").encode())
    new_run = await context.ask(
        lambda backend: backend.rerun(
            run_id,
            from_step=from_step["step_id"] if from_step else None,
            input=given.encode() if given is not None else None,
            output=output.encode() if output is not None else None,
            debug_run_id=debug_run_id or "",
            debug_session_id=debug_session_id or "",
        )
    )
    return new_run or fail(NO_ROWS)


@resolver("Mutation.pauseFunction")
async def _pause_function(_source: None, context: Context, slug: str, mode: str) -> FunctionRecord:
    """Return an extension of ours, as REST `/v1/functions/{slug}/pause`."""
    chosen = _PAUSE_MODES.get(mode) or fail('mode is "queue" or "skip"')
    function = await context.functions_by_slug.load(slug) or fail(f"function not found: {slug}")
    await context.ask(lambda backend: backend.pause_function(function.id, chosen))
    return function


@resolver("Mutation.resumeFunction")
async def _resume_function(_source: None, context: Context, slug: str) -> FunctionRecord:
    function = await context.functions_by_slug.load(slug) or fail(f"function not found: {slug}")
    await context.ask(lambda backend: backend.resume_function(function.id))
    return function


def _json(name: str, value: object) -> bytes | None:
    """Write a map. Refuses what no call could hand on."""
    if value is None:
        return None
    _check_finite(name, value)
    try:
        written = msgspec.json.encode(value)
    except RecursionError:
        fail(f"{name}: {TOO_DEEP}")
    _check_sendable(name, written)
    return written


def _check_finite(name: str, value: object) -> None:
    """Refuse a number of the query's text that was too large to be read: it is infinite by now."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += cast("dict[str, object]", one).values()
        elif isinstance(one, list):
            todo += cast("list[object]", one)
        elif isinstance(one, float) and math.isinf(one):
            fail(f"{name}: a number is beyond the range of JSON numbers, which ends at 1.8e308")


def _check_sendable(name: str, written: bytes) -> None:
    if number := unwritable(written):
        fail(f"{name}: {beyond(number)}")
    if too_deep(written):
        fail(f"{name}: {TOO_DEEP}")


def _is_array(text: str) -> bool:
    return _is_json(text, list[msgspec.Raw])


def _is_json(text: str, kind: type = object) -> bool:
    try:
        msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return False
    return True
