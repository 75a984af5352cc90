"""Webhooks: making and changing sources of events (`protocol/http-apis.md` §10.2; the reference refuses them)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.server.api.rest.v2.account_operations import ENVIRONMENT
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
    show_time,
)
from holdfast.server.api.rest.v2.fields import Cursor, Limit100
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.model.webhook import EventFilter
from holdfast.server.model.webhook import Webhook as Stored
from holdfast.server.webhooks.registry import MOST, TooManyWebhooks
from holdfast.server.webhooks.transform import TransformError, check_response, check_transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.api.common.backend import Backend

_MAX_NAME: Final = 255
_Id = Annotated[str, Meta(description="The webhook's id.")]


class NameFilter(Shown):
    """Which events are taken: only these (ALLOW), or all but these (DENY)."""

    events: Annotated[list[str], Meta(description="Names of events.")]
    filter: Literal["ALLOW", "DENY"]


class _Changes(Sent):
    env: str = ""
    origin: str = ""
    name: Annotated[str, Meta(description="The webhook's name.")] = ""
    transform: Annotated[
        str, Meta(description="A CEL expression over body, headers, query and raw whose value is an event, or a list.")
    ] = ""
    response: Annotated[
        str, Meta(description="A CEL expression over the same and `ids`: the response, text or JSON.")
    ] = ""
    event_filter: NameFilter | None = None


class CreateWebhook(_Changes):
    """A webhook that is to be made."""


class UpdateWebhook(_Changes, kw_only=True):
    """A webhook that is to be changed; what is left out stays."""

    webhook_id: _Id


class GetWebhook(Sent, kw_only=True):
    """Get a webhook."""

    env: str = ""
    origin: str = ""
    webhook_id: _Id


class DeleteWebhook(GetWebhook):
    """A webhook that is to be removed."""


class ListWebhooks(Sent):
    """A page of webhooks."""

    env: str = ""
    origin: str = ""
    cursor: Cursor = ""
    limit: Limit100 | None = None


class Webhook(Shown, kw_only=True):
    """A webhook: whoever knows its `url` can send."""

    id: str
    name: str
    url: str
    transform: str
    response: str = ""
    event_filter: NameFilter | None = None
    environment: str
    created_at: str
    updated_at: str


class Removed(Shown):
    """What was removed."""

    id: str


async def _create(backend: Backend, given: CreateWebhook) -> Answer:
    _require_env(given.env)
    if not given.name:
        raise missing("Webhook name is required")
    if not given.transform:
        raise missing("Transform function is required")
    _check(given)
    try:
        made = await backend.webhooks.create(given.name, given.transform, given.response, _filter(given.event_filter))
    except TooManyWebhooks:
        raise RefusalError(400, "validation_error", f"There are {MOST} webhooks: delete some") from None
    return Answer(_document(made, given.origin))


async def _list(backend: Backend, given: ListWebhooks) -> Answer:
    _require_env(given.env)
    size = page_size(given.limit, 100)
    rows = [hook for hook in backend.webhooks.all() if hook.id > given.cursor][: size + 1]
    shown = rows[:size]
    return Answer([_document(hook, given.origin) for hook in shown], page_of(rows, size, shown[-1].id if shown else ""))


async def _get(backend: Backend, given: GetWebhook) -> Answer:
    return Answer(_document(_find(backend, given.webhook_id), given.origin))


async def _update(backend: Backend, given: UpdateWebhook) -> Answer:
    known = _find(backend, given.webhook_id)
    _check(given)
    changed = msgspec.structs.replace(
        known, name=given.name or known.name, transform=given.transform or known.transform,
        response=given.response or known.response, event_filter=_filter(given.event_filter) or known.event_filter,
    )  # fmt: skip
    return Answer(_document(await backend.webhooks.replace(changed), given.origin))


async def _delete(backend: Backend, given: DeleteWebhook) -> Answer:
    if not await backend.webhooks.delete(given.webhook_id):
        raise not_found("Webhook not found")
    return Answer(Removed(id=given.webhook_id))


def _find(backend: Backend, id: str) -> Stored:
    known = backend.webhooks.get(id)
    if known is None:
        raise not_found("Webhook not found")
    return known


def _require_env(env: str) -> None:
    if not env:
        raise missing("X-Inngest-Env header is required")


def _check(given: _Changes) -> None:
    if len(given.name) > _MAX_NAME:
        raise invalid(f"Webhook name cannot exceed {_MAX_NAME} characters")
    checks: tuple[tuple[str, Callable[[str], None]], ...] = (
        (given.transform, check_transform),
        (given.response, check_response),
    )
    for text, check in checks:
        try:
            if text:
                check(text)
        except TransformError as error:
            raise invalid(str(error)) from None


def _filter(given: NameFilter | None) -> EventFilter | None:
    return EventFilter(given.events, given.filter) if given is not None else None


def _document(hook: Stored, origin: str) -> Webhook:
    kept = hook.event_filter
    return Webhook(
        id=hook.id, name=hook.name, url=f"{origin}/webhooks/{hook.key}", transform=hook.transform,
        response=hook.response, environment=ENVIRONMENT, created_at=show_time(hook.created_at),
        updated_at=show_time(hook.updated_at),
        event_filter=NameFilter(events=kept.events, filter=kept.filter) if kept is not None else None,
    )  # fmt: skip


_ONE: Final = "/env/webhooks/{webhook_id}"

OPERATIONS: Final = (
    Operation(
        id="CreateWebhook", method="POST", path="/env/webhooks", summary="Create webhook",
        description="Create a URL for another service, whose requests become events.",
        request=CreateWebhook, run=runner(CreateWebhook, _create), answer=Webhook, required=("name", "transform"),
        command="create-webhook",
    ),
    Operation(
        id="ListWebhooks", method="GET", path="/env/webhooks", summary="List webhooks",
        description="List webhooks, oldest first.",
        request=ListWebhooks, run=runner(ListWebhooks, _list), answer=list[Webhook], paged=True,
        command="get-webhooks",
    ),
    Operation(
        id="GetWebhook", method="GET", path=_ONE, summary="Get webhook", description="Get a webhook.",
        request=GetWebhook, run=runner(GetWebhook, _get), answer=Webhook, errors=(404,), command="get-webhook",
    ),
    Operation(
        id="UpdateWebhook", method="PUT", path=_ONE, summary="Update webhook",
        description="Change a webhook; its URL stays the same.",
        request=UpdateWebhook, run=runner(UpdateWebhook, _update), answer=Webhook, errors=(404,),
        command="update-webhook",
    ),
    Operation(
        id="DeleteWebhook", method="DELETE", path=_ONE, summary="Delete webhook",
        description="Delete a webhook: its URL returns 404 from then on.",
        request=DeleteWebhook, run=runner(DeleteWebhook, _delete), answer=Removed, errors=(404,),
        command="delete-webhook",
    ),
)  # fmt: skip
