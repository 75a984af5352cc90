"""What a worker runs: the functions of its clients, and its first message to a gateway (`connect.md` §5)."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk import env, registering, typed
from holdfast.sdk.config import strip_none
from holdfast.sdk.connect import frames
from holdfast.sdk.consts import EnvKey, Framework
from holdfast.sdk.errors import FunctionConfigInvalidError
from holdfast.sdk.handler import CommHandler

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function

_URL: Final = "wss://connect"
_CAPABILITIES: Final = b'{"connect":"v1","in_band_sync":"v1","trust_probe":"v1"}'
#: What all apps of a connection have in common, as errors name it, and the client's attribute.
_COMMON: Final = {"API base URL": "api_origin", "env": "env", "mode": "mode", "signing key": "signing_key"}


class Apps:
    """The apps of a worker.

    Raises:
        FunctionConfigInvalidError: There is no app, one has no functions, or they belong to different servers.

    """

    def __init__(
        self, apps: Sequence[tuple[Inngest, list[Function[Any]]]], instance_id: str | None, limit: int | None
    ) -> None:
        if not apps:
            raise FunctionConfigInvalidError("no apps provided: give connect() at least one (client, functions)")
        self.client, _ = apps[0]
        _check([client for client, _ in apps])
        self.instance_id = instance_id or socket.gethostname()
        self.limit = env.get_int(EnvKey.CONNECT_MAX_WORKER_CONCURRENCY) if limit is None else limit
        self.handlers = {
            client.app_id: CommHandler(client=client, framework=Framework.CONNECT, functions=functions)
            for client, functions in apps
        }
        self._messages = [_app(client, functions) for client, functions in apps]
        self._started_at = time.time_ns()

    def hello(self, started: pb.StartResponse) -> bytes:
        """Return the first frame of a socket."""
        client = self.client
        message = pb.Connect(
            connection_id=started.connection_id, instance_id=self.instance_id, capabilities=_CAPABILITIES,
            auth_data=pb.Auth(session_token=started.session_token, sync_token=started.sync_token),
            apps=self._messages, worker_manual_readiness_ack=True, system_attributes=_system(), environment=client.env,
            framework=Framework.CONNECT.value, sdk_language=client.identity.language,
            sdk_version=client.identity.version, max_worker_concurrency=self.limit,
        )  # fmt: skip
        message.started_at.FromNanoseconds(self._started_at)
        return frames.frame(pb.WORKER_CONNECT, message)


def _check(clients: list[Inngest]) -> None:
    """Refuse clients that can't share a connection, or have the same name."""
    first = clients[0]
    for client in clients[1:]:
        for name, attribute in _COMMON.items():
            if getattr(client, attribute) != getattr(first, attribute):
                raise FunctionConfigInvalidError(f"inconsistent app config: {name}")
    names = [client.app_id for client in clients]
    if len(set(names)) < len(names):
        raise FunctionConfigInvalidError("two apps of the worker have the same id: give their functions at once")


def _app(client: Inngest, functions: list[Function[Any]]) -> pb.App:
    configs = typed.encode(strip_none(registering.configs(functions, _URL)))
    return pb.App(app_name=client.app_id, app_version=client.app_version, functions=configs)


def _system() -> pb.System:
    names = getattr(os, "sysconf_names", {})
    known = "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else 0
    return pb.System(cpu_cores=os.cpu_count() or 0, mem_bytes=max(0, memory), os=sys.platform)
