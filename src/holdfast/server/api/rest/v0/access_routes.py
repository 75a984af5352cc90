"""`/v0/access`: who am I, users, API tokens, keys, the audit log; ours, the reference has nothing of the kind.

Times are ms since the epoch. What is wrong is told as the public error, with 400, 404 or 409.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.access.access import Access, LoginRefused
from holdfast.server.access.keys import EventKey, KeyRefused, SigningKey
from holdfast.server.access.passwords import BusyError
from holdfast.server.access.principals import current, read_role
from holdfast.server.access.users import NameTakenError
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.parameters import read_int
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.clock import now_ms
from holdfast.server.model.account import ApiToken, User

_DAY_MS = 86_400_000
_MOST_ENTRIES = 500
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    pass


class NewUser(_Input):
    """A local user to add."""

    name: str
    role: str
    password: str


class UserChange(_Input):
    """What to change of a user; what is missing stays."""

    role: str | None = None
    password: str | None = None


class NewPassword(_Input):
    """One's own password, changed."""

    old: str
    new: str


class NewToken(_Input):
    """A token to make; `days` until it expires, for ever without."""

    name: str
    role: str = "viewer"
    days: float | None = None


class NewEventKey(_Input):
    """An event key to make."""

    name: str = ""


class Rotation(_Input):
    """A rotation; without `key` one is made."""

    key: str = ""


def routes(access: Access) -> list[ApiRoute]:
    """Return the routes of this module."""
    return [
        *_me(access), *_users(access), *_tokens(access), *_keys(access),
        ApiRoute("/v0/access/audit", _audit(access), methods=["GET"]),
    ]  # fmt: skip


def _me(access: Access) -> list[ApiRoute]:
    async def me(_request: Request) -> Response:
        principal = current.get()
        if principal is None:
            return public_error(401, "not logged in")
        body = {"kind": principal.kind, "name": principal.name, "role": principal.role.word, "actor": principal.actor}
        return json_response({**body, "open": not access.guarded})

    async def own_password(request: Request) -> Response:
        given, principal = await _read(request, NewPassword), current.get()
        if principal is None:
            return public_error(401, "not logged in")
        await access.change_password(principal, given.old, given.new)
        return Response(status_code=204)

    return [
        ApiRoute("/v0/access/me", me, methods=["GET"]),
        ApiRoute("/v0/access/me/password", _told(own_password), methods=["POST"]),
    ]


def _users(access: Access) -> list[ApiRoute]:
    async def show(_request: Request) -> Response:
        return json_response({"data": [user_json(user) for user in access.users.all()]})

    async def add(request: Request) -> Response:
        given = await _read(request, NewUser)
        user = await access.add_user(given.name, read_role(given.role), given.password)
        return json_response({"data": user_json(user)}, 201)

    async def change(request: Request) -> Response:
        given, name = await _read(request, UserChange), request.path_params["name"]
        role = read_role(given.role) if given.role is not None else None
        if access.users.named(name) is None:
            return public_error(404, f"there is no user {name}")
        if given.password is not None:
            await access.set_password(name, given.password)
        if role is not None:
            await access.set_role(name, role)
        user = access.users.named(name)
        return json_response({"data": user_json(user) if user else None})

    async def remove(request: Request) -> Response:
        name = request.path_params["name"]
        if access.users.named(name) is None:
            return public_error(404, f"there is no user {name}")
        await access.remove_user(name)
        return Response(status_code=204)

    return [
        ApiRoute("/v0/access/users", _by_method({"GET": show, "POST": _told(add)}), methods=["GET", "POST"]),
        ApiRoute(
            "/v0/access/users/{name}", _by_method({"PATCH": _told(change), "DELETE": _told(remove)}),
            methods=["PATCH", "DELETE"],
        ),
    ]  # fmt: skip


def _tokens(access: Access) -> list[ApiRoute]:
    async def show(_request: Request) -> Response:
        return json_response({"data": [token_json(token) for token in access.tokens.all()]})

    async def create(request: Request) -> Response:
        given = await _read(request, NewToken)
        if not given.name.strip() or len(given.name) > 128:
            return public_error(400, "name must be 1 to 128 characters")
        if given.days is not None and not 0 < given.days <= 36_500:
            return public_error(400, "days must be more than 0 and at most 36500")
        if any(token.name == given.name and token.good(now_ms()) for token in access.tokens.all()):
            return public_error(409, f"a token named {given.name} already exists")
        expires = now_ms() + int(given.days * _DAY_MS) if given.days is not None else None
        created = await access.create_token(given.name, read_role(given.role), expires)
        return json_response({"data": {**token_json(created.token), "token": created.secret}}, 201)

    async def revoke(request: Request) -> Response:
        id = request.path_params["id"]
        found = await access.revoke_token(id)
        return Response(status_code=204) if found else public_error(404, f"no valid token {id}")

    return [
        ApiRoute("/v0/access/tokens", _by_method({"GET": show, "POST": _told(create)}), methods=["GET", "POST"]),
        ApiRoute("/v0/access/tokens/{id}", revoke, methods=["DELETE"]),
    ]


def _keys(access: Access) -> list[ApiRoute]:
    keys = access.keys

    async def events(_request: Request) -> Response:
        return json_response({"data": [event_key_json(key) for key in keys.event_keys()]})

    async def create(request: Request) -> Response:
        given = await _read(request, NewEventKey)
        return json_response({"data": event_key_json(await keys.create_event_key(given.name[:128]))}, 201)

    async def revoke(request: Request) -> Response:
        id = request.path_params["id"]
        found = await keys.revoke_event_key(id)
        return Response(status_code=204) if found else public_error(404, f"no event key {id}")

    async def signing(_request: Request) -> Response:
        return json_response({"data": [signing_key_json(key) for key in keys.signing_keys()]})

    async def rotate(request: Request) -> Response:
        given = await _read(request, Rotation)
        return json_response({"data": signing_key_json(await keys.rotate(given.key))}, 201)

    async def retire(_request: Request) -> Response:
        found = await keys.retire_fallback()
        return Response(status_code=204) if found else public_error(404, "there is no fallback signing key")

    return [
        ApiRoute("/v0/access/keys/events", _by_method({"GET": events, "POST": _told(create)}), methods=["GET", "POST"]),
        ApiRoute("/v0/access/keys/events/{id}", _told(revoke), methods=["DELETE"]),
        ApiRoute("/v0/access/keys/signing", signing, methods=["GET"]),
        ApiRoute("/v0/access/keys/signing/rotate", _told(rotate), methods=["POST"]),
        ApiRoute("/v0/access/keys/signing/fallback", _told(retire), methods=["DELETE"]),
    ]


def _audit(access: Access) -> Handler:
    async def show(request: Request) -> Response:
        given = request.query_params
        limit = read_int(given.get("limit", "50"))
        if limit is None or not 1 <= limit <= _MOST_ENTRIES:
            return public_error(400, f"limit must be a number from 1 to {_MOST_ENTRIES}")
        found = await access.audit.page(
            limit + 1, given.get("cursor", ""), given.get("actor", ""), given.get("action", "")
        )
        shown = found[:limit]
        cursor = shown[-1].id if len(found) > len(shown) else None
        return json_response({"data": shown, "cursor": cursor})

    return show


# --- shapes -----------------------------------------------------------------------------------------------------------


def user_json(user: User) -> dict[str, object]:
    """Return a user without secrets."""
    kind = "oidc" if user.subject else "local"
    return {
        "id": user.id, "name": user.name, "role": user.role, "kind": kind, "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    }  # fmt: skip


def token_json(token: ApiToken) -> dict[str, object]:
    """Return a token without its secret."""
    names = ("id", "name", "hint", "role", "created_by", "created_at", "expires_at", "used_at", "revoked_at")
    return {name: getattr(token, name) for name in names}


def event_key_json(key: EventKey) -> dict[str, object]:
    """Return an event key, as it is."""
    return msgspec.structs.asdict(key)


def signing_key_json(key: SigningKey) -> dict[str, object]:
    """Return a signing key, as it is."""
    return msgspec.structs.asdict(key)


# --- reading and refusing ---------------------------------------------------------------------------------------------


async def _read(request: Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.body() or b"{}", type=kind)


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handle


def _told(handler: Handler) -> Handler:
    """Return what was wrong with the input."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except UNREADABLE as error:
            return public_error(400, f"invalid request body: {error}")
        except LoginRefused as refused:
            if refused.retry_after:
                answer = public_error(429, str(refused))
                answer.headers["retry-after"] = str(refused.retry_after)
                return answer
            return public_error(403, str(refused))
        except BusyError:
            answer = public_error(503, "Too many passwords are being checked just now; try again")
            answer.headers["retry-after"] = "1"
            return answer
        except NameTakenError as error:
            return public_error(409, str(error))
        except (KeyRefused, ValueError) as error:  # which users, passwords and roles that can't be are too
            return public_error(400, str(error))

    return handle
