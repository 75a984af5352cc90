"""Apps: what is synced, and syncing (`protocol/http-apis.md` §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from holdfast.server.api.common.parameters import read_uuid
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    Sent,
    Shown,
    invalid,
    missing,
    not_found,
    page_of,
    page_size,
    show_moment,
    show_time,
)
from holdfast.server.api.rest.v2.fields import AppId, Cursor, Limit100
from holdfast.server.api.rest.v2.operation import Operation, runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.app import AppRecord


class GetApps(Sent):
    """A page of apps."""

    archived: Annotated[bool, Meta(description="List archived apps instead of active ones.")] = False
    cursor: Cursor = ""
    limit: Limit100 | None = None


class GetApp(Sent):
    """One app."""

    app_id: AppId


class RemoveApp(Sent):
    """An app that is to be removed."""

    app_id: AppId


class RemovedApp(Shown):
    """An app that was removed."""

    id: str


class SyncApp(Sent):
    """An app that is to be synced, by its URL or by the one that is known of it."""

    app_id: AppId
    url: Annotated[str, Meta(description="The app's URL (default: the known one).")] = ""


class LatestSync(Shown):
    """What the last sync told."""

    sdk_language: str = ""
    sdk_version: str = ""
    framework: str = ""
    url: str = ""
    error: str = ""
    app_version: str = ""


class App(Shown):
    """An app. `id` is what its code calls it."""

    id: str
    name: str
    method: str
    created_at: str
    app_version: str = ""
    is_archived: bool = False
    archived_at: str = ""
    function_count: int = 0
    latest_sync: LatestSync | None = None


class SyncError(Shown):
    """Why a sync came to nothing."""

    code: str
    message: str


class Sync(Shown):
    """What a sync came to: `success` or `error`."""

    id: str
    status: str
    app_id: str
    error: SyncError | None = None


async def find_app(backend: Backend, given: str) -> AppRecord:
    """Return an app by its name, or by its UUID. Raises RefusalError."""
    found = next((app for app in await backend.history.apps() if app.name and app.name == given), None)
    id = read_uuid(given)
    if found is None and id is not None:
        found = (await backend.history.apps_by_id([id])).get(id)
    if found is None:
        raise not_found("App not found")
    return found


async def _apps(backend: Backend, given: GetApps) -> Answer:
    size = page_size(given.limit, 100)
    after = read_cursor(given.cursor)
    known = await backend.history.archived_apps() if given.archived else await backend.history.apps()
    rows = sorted((app for app in known if app.id > after), key=lambda app: app.id)[: size + 1]
    shown = rows[:size]
    return Answer(await _shown(backend, shown), page_of(rows, size, shown[-1].id if shown else ""))


async def _app(backend: Backend, given: GetApp) -> Answer:
    return Answer((await _shown(backend, [await find_app(backend, given.app_id)]))[0])


async def _remove(backend: Backend, given: RemoveApp) -> Answer:
    app = await find_app(backend, given.app_id)
    if not await backend.delete_app(app.id):
        raise not_found("App not found")
    return Answer(RemovedApp(id=app.name or app.id))


async def _sync(backend: Backend, given: SyncApp) -> Answer:
    """Have the app register itself: by its URL, which may be new."""
    known = next((app for app in await backend.history.apps() if given.app_id in {app.name, app.id}), None)
    url = given.url or (known.url if known is not None else "")
    if not url:
        raise missing("URL is required: there is no app with that ID yet")
    error = await backend.create_app(url)
    if error is None:
        return Answer(Sync(id=backend.new_id(), status="success", app_id=given.app_id))
    problem = SyncError(code="app_sync_failed", message=error)
    return Answer(Sync(id=backend.new_id(), status="error", app_id=given.app_id, error=problem), status=422)


def read_cursor(text: str) -> str:
    """Return the UUID behind which a page begins. Raises RefusalError."""
    found = read_uuid(text) if text else ""
    if found is None:
        raise invalid("Cursor is invalid")
    return found


async def _shown(backend: Backend, apps: Sequence[AppRecord]) -> list[App]:
    functions = await backend.history.functions_of_apps([app.id for app in apps])
    return [_document(app, len(functions.get(app.id, ()))) for app in apps]


def _document(app: AppRecord, functions: int) -> App:
    sync = LatestSync(
        sdk_language=app.sdk_language, sdk_version=app.sdk_version, framework=app.framework, url=app.url,
        error=app.error, app_version=app.app_version,
    )  # fmt: skip
    return App(
        id=app.name or app.id, name=app.name, method=app.method.upper(), created_at=show_time(app.created_at),
        app_version=app.app_version, is_archived=app.archived_at is not None, archived_at=show_moment(app.archived_at),
        function_count=functions, latest_sync=sync,
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        id="GetApps", method="GET", path="/apps", summary="Get apps",
        description="List active apps, or archived ones.",
        request=GetApps, run=runner(GetApps, _apps), answer=list[App], paged=True, tool="get_apps", command="get-apps",
    ),
    Operation(
        id="GetApp", method="GET", path="/apps/{app_id}", summary="Get app",
        description="Get an app, with its last sync and its number of functions.",
        request=GetApp, run=runner(GetApp, _app), answer=App, errors=(404,), tool="get_app", command="get-app",
    ),
    Operation(
        id="RemoveApp", method="DELETE", path="/apps/{app_id}", summary="Remove app",
        description="Remove an app: its functions start no more runs. Registering again brings it back; an app that "
        "never registered is forgotten.",
        request=RemoveApp, run=runner(RemoveApp, _remove), answer=RemovedApp, errors=(404,), command="remove-app",
    ),
    Operation(
        id="SyncApp", method="POST", path="/apps/{app_id}/syncs", summary="Sync app",
        description="Ask an app to register its functions. A failed sync returns 422 with the reason.",
        request=SyncApp, run=runner(SyncApp, _sync), answer=Sync, errors=(422,), command="sync-app",
    ),
)  # fmt: skip
