"""A worker's first message: what it runs, and as what it registers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final
from urllib.parse import quote_plus

import msgspec
from google.protobuf.message import DecodeError

from holdfast.protocol import connect_pb2 as pb
from holdfast.protocol.canonical import canonical
from holdfast.protocol.ids import is_ulid
from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.server.connect.roster import About
from holdfast.server.connect.session import MOST_APPS

INVALID_PAYLOAD: Final = "connect_worker_hello_invalid_payload"
TOO_MANY_APPS: Final = "connect_too_many_apps_per_connection"
INTERNAL: Final = "connect_internal_error"
POLICY: Final = 1008
BROKEN: Final = 1011

#: Longest name of a worker, an app, a version: they are shown and kept.
MOST_CHARACTERS: Final = 256


class HelloError(Exception):
    """A first message that is refused: the text for the log, and what the socket is closed with."""

    def __init__(self, text: str, reason: str, code: int = POLICY) -> None:
        super().__init__(text)
        self.reason = reason
        self.code = code


class _Function(msgspec.Struct):
    id: str


class App(msgspec.Struct, frozen=True):
    """One app of a worker. `hash` is the same for all workers that run the same version of it."""

    name: str
    version: str
    functions: bytes  # JSON array, as in a registration
    slugs: frozenset[str]
    hash: str


class Hello(msgspec.Struct, frozen=True):
    """A first message that was read, of a worker with a valid token."""

    connection_id: str
    instance_id: str
    apps: tuple[App, ...]
    capabilities: dict[str, str]
    environment: str
    manual: bool  # it says itself when it is ready
    limit: int  # most calls at once, 0: any number
    about: About


_functions = msgspec.json.Decoder(list[_Function])
_capabilities = msgspec.json.Decoder(dict[str, str])


def read_hello(payload: bytes, check_token: Callable[[str], None]) -> Hello:
    """Read a first message; what it costs to read comes after its token. Raises HelloError, and what the check does."""
    try:
        message = pb.Connect.FromString(payload)
    except DecodeError:
        raise HelloError("the first message can't be decoded", INVALID_PAYLOAD) from None
    if not is_ulid(message.connection_id):
        raise HelloError("the connection's id is not a ULID", INVALID_PAYLOAD)
    if not message.instance_id:
        raise HelloError("the worker has no instance id", INVALID_PAYLOAD)
    check_token(message.auth_data.session_token)
    _check_apps(message)
    try:
        capabilities = _capabilities.decode(message.capabilities or b"{}")
        apps = tuple(_app(message, app) for app in message.apps)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise HelloError(f"functions or capabilities can't be read: {error}", INTERNAL, BROKEN) from None
    system = message.system_attributes
    about = About(
        message.sdk_language, message.sdk_version, message.platform, system.cpu_cores, system.mem_bytes, system.os
    )
    return Hello(
        message.connection_id, message.instance_id, apps, capabilities, message.environment,
        message.worker_manual_readiness_ack, max(0, message.max_worker_concurrency), about,
    )  # fmt: skip


def _check_apps(message: pb.Connect) -> None:
    if not message.apps:
        raise HelloError("the worker registers no app", INVALID_PAYLOAD)
    if len(message.apps) > MOST_APPS:
        raise HelloError(f"the worker registers {len(message.apps)} apps; the limit is {MOST_APPS}", TOO_MANY_APPS)
    names = [app.app_name for app in message.apps]
    if not all(names) or len(set(names)) < len(names):
        raise HelloError("each app of a worker needs a name of its own", INVALID_PAYLOAD)
    system = message.system_attributes.os
    texts = [message.instance_id, message.sdk_language, message.sdk_version, message.platform, system, *names]
    if max(map(len, [*texts, *(app.app_version for app in message.apps)])) > MOST_CHARACTERS:
        raise HelloError(f"a name or version is longer than {MOST_CHARACTERS} characters", INVALID_PAYLOAD)


def _app(message: pb.Connect, app: pb.App) -> App:
    slugs = frozenset(function.id for function in _functions.decode(app.functions or b"[]"))
    return App(app.app_name, app.app_version, app.functions or b"[]", slugs, _hash(message, app))


def _hash(message: pb.Connect, app: pb.App) -> str:
    """Return the protocol's hash of a worker group; of the app's name it knows nothing."""
    functions = hashlib.sha256(canonical(app.functions or b"[]")).digest()
    head = f"{ACCOUNT_ID}:{ENV_ID}:{message.sdk_language}:{message.sdk_version}:{message.platform or '-'}:"
    return hashlib.sha256(head.encode() + functions + f":{app.app_version}".encode()).hexdigest()


def registration(hello: Hello, app: App) -> bytes:
    """Return the body with which an app would register over HTTP."""
    return msgspec.json.encode({
        "v": "1",
        "url": f"ws://connect?app_name={quote_plus(app.name)}",
        "deployType": "connect",
        "sdk": f"{hello.about.sdk_language}:{hello.about.sdk_version}",
        "appName": app.name,
        "appVersion": app.version,
        "functions": msgspec.Raw(app.functions),
        "headers": {"env": hello.environment, "platform": hello.about.platform},
        "capabilities": hello.capabilities,
        "idempotencyKey": app.hash,
    })  # fmt: skip
