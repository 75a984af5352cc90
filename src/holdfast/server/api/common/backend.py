"""What the APIs ask of the running server: history to read, and commands for the engine's shell.

The APIs know nothing of the engine; whoever composes the server implements `Backend`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.protocol.events import Event
    from holdfast.server.access.keys import Keys
    from holdfast.server.model.backlog import Backlog
    from holdfast.server.model.cancellation import BulkCancellation
    from holdfast.server.model.reason import Reason
    from holdfast.server.store.history import History, StoredEvent, StoredRun
    from holdfast.server.telemetry.metadata import Target, Update
    from holdfast.server.webhooks.registry import Webhooks


class CancelOutcome(Enum):
    """What cancelling a run came to."""

    MISSING = auto()
    ENDED = auto()  # completed or failed before
    ALREADY_CANCELLED = auto()
    CANCELLED = auto()


class InvokeOutcome(Enum):
    """What invoking a function came to."""

    STARTED = auto()
    REPEATED = auto()  # an idempotency key was seen before: the run is the first one's
    RATE_LIMITED = auto()
    DEBOUNCED = auto()
    BATCHED = auto()
    SKIPPED = auto()  # the function is paused, or a singleton whose run goes on


class Invoked(msgspec.Struct, frozen=True):
    """The run that an invocation started, or why there is none yet."""

    outcome: InvokeOutcome
    run_id: str = ""


class RunSnapshot(msgspec.Struct, frozen=True):
    """State of a live run, as JSON."""

    steps: Mapping[str, bytes]  # memoised values by hashed step id, in the order of completion
    events: Sequence[bytes]  # the triggering events, as functions see them


PauseMode = Literal["queue", "skip"]
"""What becomes of a paused function's new runs."""


class Paused(msgspec.Struct, frozen=True):
    """A paused function: what becomes of its new runs, and how many wait for it to be resumed."""

    mode: PauseMode
    held: int


class ServerInfo(msgspec.Struct, frozen=True):
    """What `/dev` and headers tell about the server (`protocol/http-apis.md` §4)."""

    kind: Literal["dev", "cloud"]
    version: str
    start_options: Mapping[str, object] = {}
    features: Mapping[str, bool] = {}
    missing_signing_key: bool = False
    missing_event_keys: bool = False


class WorkerState(Enum):
    """Where a worker's connection stands; values are those of the GraphQL enum."""

    CONNECTED = "CONNECTED"
    READY = "READY"
    DRAINING = "DRAINING"
    DISCONNECTING = "DISCONNECTING"
    DISCONNECTED = "DISCONNECTED"


class Worker(msgspec.Struct, frozen=True):
    """A worker's connection, open or of the past. Times in ms since the epoch (`protocol/graphql.md` §4.6)."""

    id: str
    gateway_id: str
    instance_id: str
    state: WorkerState
    connected_at: int
    group_hash: str
    worker_ip: str = ""
    app_id: str | None = None
    app_name: str | None = None
    app_version: str | None = None
    last_heartbeat_at: int | None = None
    disconnected_at: int | None = None
    disconnect_reason: str | None = None
    sync_id: str | None = None
    sdk_language: str = ""
    sdk_version: str = ""
    sdk_platform: str = ""
    function_count: int = 0
    max_concurrency: int = 0
    cpu_cores: int = 0
    memory_bytes: int = 0
    os: str = ""


class Server(Protocol):
    """What every API asks of the server. Ids are checked by the caller for their form, not for what they name."""

    history: History
    """The readers of the store."""
    info: ServerInfo
    """What the server tells about itself."""

    def now_ms(self) -> int:
        """Return the server's time in ms since the epoch."""
        ...

    def new_id(self) -> str:
        """Return a new ULID."""
        ...


class Runs(Server, Protocol):
    """Starting, ending and reading runs."""

    async def invoke(
        self,
        slug: str,
        *,
        data: bytes | None,
        user: bytes | None,
        sessions: bytes | None,
        debug_run_id: str = "",
        debug_session_id: str = "",
    ) -> str:
        """Accept an invocation of a function, which need not exist; answers the event's internal id."""
        ...

    async def invoke_function(self, function_id: str, data: bytes, idempotency_key: str) -> Invoked:
        """Start a run of a function (its UUID), whose event carries `data`, a JSON object."""
        ...

    async def accept_all(self, events: Sequence[Event]) -> None:
        """Take events that were read; they are durable afterwards."""
        ...

    async def cancel_run(self, run_id: str) -> CancelOutcome:
        """Cancel a run; the outcome is committed."""
        ...

    async def rerun(
        self,
        run_id: str,
        *,
        from_step: str | None,
        input: bytes | None,
        output: bytes | None = None,
        debug_run_id: str = "",
        debug_session_id: str = "",
    ) -> str | None:
        """Start a run's function again with the same events; answers the new run's id, None for no such run.

        With `from_step` (a hashed id) the steps before it are kept; `input` is a JSON array of its arguments.
        `output`, any JSON, is kept for the step instead of running it again.
        """
        ...

    async def signal(self, name: str, data: bytes) -> str | None:
        """Send a signal (`data` is JSON); answers the id of the run that waited for it, None if there is none."""
        ...

    async def run_state(self, run_id: str) -> RunSnapshot | None:
        """Return the state of a live run; None for one that has ended or never was."""
        ...

    async def record_metadata(self, run_id: str, target: Target, updates: Sequence[Update]) -> None:
        """Record metadata of a run, live or ended; raises `telemetry.metadata.MetadataError` if it is refused."""
        ...


class Reasons(Server, Protocol):
    """Why something runs, waits or started nothing."""

    async def why_runs(self, runs: Sequence[StoredRun]) -> dict[str, list[Reason]]:
        """Return what each run is doing, waits for, or came to; by id."""
        ...

    async def doing(self, run_ids: Sequence[str]) -> dict[str, Reason]:
        """Return in short what each live run is doing, or waits for first, by id; those that ended are left out."""
        ...

    async def why_event(self, event: StoredEvent, runs: Sequence[StoredRun]) -> list[Reason]:
        """Return what became of an event, whose `runs` are known."""
        ...


class Functions(Server, Protocol):
    """Holding back functions, and ending their runs."""

    async def cancel_many(self, cancellation: BulkCancellation) -> None:
        """Begin a bulk cancellation; it is durable, the runs end soon."""
        ...

    def cancellations(self) -> Sequence[BulkCancellation]:
        """Return all bulk cancellations, newest first."""
        ...

    async def remove_cancellation(self, id: str) -> bool:
        """Remove a bulk cancellation; what it has not cancelled yet goes on. False for no such one."""
        ...

    async def pause_function(self, function_id: str, mode: PauseMode) -> None:
        """Let no run of a function start any more; those that are running go on."""
        ...

    async def resume_function(self, function_id: str) -> None:
        """Let a function's runs start again, those that waited first."""
        ...

    def paused(self, function_id: str) -> Paused | None:
        """Return whether, and how, a function is paused."""
        ...

    async def backlog(self, function_id: str) -> Backlog | None:
        """Return what waits of a function, and how far its limits are used up; None if it is not registered."""
        ...


class Apps(Server, Protocol):
    """Apps and their workers."""

    async def create_app(self, url: str) -> str | None:
        """Add an app by its URL and have it sync; answers an error text, or None once it has."""
        ...

    async def update_app(self, app_id: str, url: str) -> bool:
        """Change an app's URL; False for no such app."""
        ...

    async def delete_app(self, app_id: str) -> bool:
        """Archive an app and its functions; False for no such app."""
        ...

    async def delete_app_by_name(self, name: str) -> bool:
        """Archive an app by its name; False for no such app."""
        ...

    async def remove_app_by_url(self, url: str) -> bool:
        """Archive an app by its URL; False for no such app."""
        ...

    async def workers(self) -> Sequence[Worker]:
        """Return all known workers' connections."""
        ...


class TestHooks(Server, Protocol):
    """What test suites of SDKs set and ask."""

    async def set_step_limit(self, function_id: str, limit: int | None) -> bool:
        """Set or (None) lift the most steps that runs of a function may have; False if there was none to lift."""
        ...

    async def set_state_size_limit(self, function_id: str, limit: int | None) -> bool:
        """Set or (None) lift the most bytes of state; False if there was none to lift."""
        ...

    async def test_reset(self) -> None:
        """Forget all runs, jobs and waits (`protocol/http-apis.md` §12.3)."""
        ...

    async def test_pause_function(self, function_id: str) -> None:
        """Let no more runs of a function start."""
        ...

    def test_queue_size(self, function_id: str) -> int:
        """Return how many jobs of a function are open."""
        ...


class Backend(Runs, Reasons, Functions, Apps, TestHooks, Protocol):
    """All of it, with the keys of machines and the webhooks."""

    keys: Keys
    webhooks: Webhooks
