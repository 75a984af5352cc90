"""Event keys and signing keys (`protocol/http-apis.md` §10.2); making and revoking them is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from holdfast.server.access.keys import KeyRefused
from holdfast.server.api.rest.v2.account_operations import ENVIRONMENT
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    Page,
    RefusalError,
    Sent,
    Shown,
    not_found,
    page_size,
    show_time,
)
from holdfast.server.api.rest.v2.fields import Cursor, Limit100
from holdfast.server.api.rest.v2.operation import Operation, runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.access.keys import EventKey, SigningKey
    from holdfast.server.api.common.backend import Backend


class GetKeys(Sent):
    """A page of keys."""

    env: str = ""
    cursor: Cursor = ""
    limit: Limit100 | None = None


class CreateEventKey(Sent):
    """An event key that is to be made."""

    name: Annotated[str, Meta(description="Name of the key.")] = ""


class RevokeEventKey(Sent):
    """An event key that is to be useless."""

    key_id: Annotated[str, Meta(description="The key's id.")]


class RotateSigningKey(Sent):
    """A signing key that is to be changed."""

    key: Annotated[str, Meta(description="The new key, in hex (default: generate one).")] = ""


class RetireSigningKey(Sent):
    """The signing key before the current one is to be useless."""


class Key(Shown):
    """A key in clear: only who holds the signing key gets to see it."""

    environment: str
    key: str
    created_at: str
    id: str = ""
    name: str = ""


class KeyRef(Shown):
    """A key by its id."""

    id: str


class Retired(Shown):
    """Whether there was a signing key before the current one."""

    retired: bool = False


async def _event_keys(backend: Backend, given: GetKeys) -> Answer:
    return _page(given, [_event_key(key) for key in backend.keys.event_keys()])


async def _signing_keys(backend: Backend, given: GetKeys) -> Answer:
    return _page(given, [_signing_key(key) for key in backend.keys.signing_keys()])


def _page(given: GetKeys, keys: Sequence[Key]) -> Answer:
    size = page_size(given.limit, 100)
    wanted = given.env in {"", ENVIRONMENT}
    known = [key for key in keys if key.id > given.cursor] if wanted else []
    if len(known) > size:
        return Answer(known[:size], Page(cursor=known[size - 1].id, has_more=True, limit=size))
    return Answer(known, Page())


async def _create(backend: Backend, given: CreateEventKey) -> Answer:
    return Answer(_event_key(await backend.keys.create_event_key(given.name)))


async def _revoke(backend: Backend, given: RevokeEventKey) -> Answer:
    try:
        found = await backend.keys.revoke_event_key(given.key_id)
    except KeyRefused as refused:
        raise RefusalError(400, "invalid_request", str(refused)) from None
    if not found:
        raise not_found("Event key not found")
    return Answer(KeyRef(id=given.key_id))


async def _rotate(backend: Backend, given: RotateSigningKey) -> Answer:
    try:
        return Answer(_signing_key(await backend.keys.rotate(given.key)))
    except KeyRefused as refused:
        raise RefusalError(400, "invalid_request", str(refused)) from None


async def _retire(backend: Backend, _given: RetireSigningKey) -> Answer:
    return Answer(Retired(retired=await backend.keys.retire_fallback()))


def _event_key(key: EventKey) -> Key:
    return Key(id=key.id, name=key.name, environment=ENVIRONMENT, key=key.key, created_at=show_time(key.created_at))


def _signing_key(key: SigningKey) -> Key:
    name = "" if key.current else "fallback"
    return Key(id=key.id, name=name, environment=ENVIRONMENT, key=key.key, created_at=show_time(key.created_at))


OPERATIONS: Final = (
    Operation(
        id="FetchEventKeys", method="GET", path="/keys/events", summary="Get event keys",
        description="List the keys with which events are accepted; empty on a dev server, which accepts any.",
        request=GetKeys, run=runner(GetKeys, _event_keys), answer=list[Key], paged=True, command="get-event-keys",
    ),
    Operation(
        id="CreateEventKey", method="POST", path="/keys/events", summary="Create event key",
        description="Create a key for sending events; it works at once.",
        request=CreateEventKey, run=runner(CreateEventKey, _create), answer=Key, command="create-event-key",
    ),
    Operation(
        id="RevokeEventKey", method="DELETE", path="/keys/events/{key_id}", summary="Revoke event key",
        description="Revoke an event key, effective at once. Keys of the configuration must be removed there.",
        request=RevokeEventKey, run=runner(RevokeEventKey, _revoke), answer=KeyRef, errors=(404,),
        command="revoke-event-key",
    ),
    Operation(
        id="FetchSigningKeys", method="GET", path="/keys/signing", summary="Get signing keys",
        description="List the signing keys in clear text: the current one, then the previous one.",
        request=GetKeys, run=runner(GetKeys, _signing_keys), answer=list[Key], paged=True, command="get-signing-keys",
    ),
    Operation(
        id="RotateSigningKey", method="POST", path="/keys/signing/rotate", summary="Rotate signing key",
        description="Replace the signing key. The previous one stays valid until it is retired.",
        request=RotateSigningKey, run=runner(RotateSigningKey, _rotate), answer=Key, command="rotate-signing-key",
    ),
    Operation(
        id="RetireSigningKey", method="POST", path="/keys/signing/retire", summary="Retire signing key",
        description="Invalidate the previous signing key, once all apps have the new one.",
        request=RetireSigningKey, run=runner(RetireSigningKey, _retire), answer=Retired, command="retire-signing-key",
    ),
)  # fmt: skip
