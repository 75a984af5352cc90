"""A backend without a server behind it. Mypy compares it with the protocols that the APIs ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

from holdfast.protocol.events import Event
from holdfast.protocol.ids import UlidSource, ulid
from holdfast.server.access.keys import Keys
from holdfast.server.api.common.backend import (
    Backend,
    CancelOutcome,
    Invoked,
    InvokeOutcome,
    Paused,
    PauseMode,
    RunSnapshot,
    ServerInfo,
    Worker,
)
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.reason import Reason
from holdfast.server.store.history import History, StoredEvent, StoredRun
from holdfast.server.store.store import Write
from holdfast.server.telemetry.metadata import Target, Update
from holdfast.server.webhooks.registry import Webhooks
from store.memory import DictRecords, Rows


class Nowhere:
    """Where rows are not kept."""

    def write(self, write: Write) -> None:
        pass

    async def committed(self) -> None:
        pass


def no_records() -> DictRecords:
    return DictRecords(Rows(), Nowhere())


def ids() -> UlidSource:
    return UlidSource(randbits)


@dataclass
class FakeBackend(Backend):
    """Commands are recorded and answered from attributes."""

    history: History
    now: int
    keys: Keys = field(default_factory=lambda: Keys(no_records(), ids()))
    webhooks: Webhooks = field(default_factory=lambda: Webhooks(no_records(), ids()))
    info: ServerInfo = field(default_factory=lambda: ServerInfo("dev", "dev-", {"dir": ""}, {"run-details-v4": True}))
    commands: list[tuple[Any, ...]] = field(default_factory=list)
    cancelled: CancelOutcome = CancelOutcome.MISSING
    rerun_id: str | None = None
    app_error: str | None = None
    apps: bool = False
    signalled: str | None = None
    state: RunSnapshot | None = None
    connections: list[Worker] = field(default_factory=list)
    reasons: dict[str, list[Reason]] = field(default_factory=dict)  # by run or event id
    bulk: list[BulkCancellation] = field(default_factory=list)
    pauses: dict[str, Paused] = field(default_factory=dict)
    limited: bool = False
    made: int = 0

    def now_ms(self) -> int:
        return self.now

    def new_id(self) -> str:
        self.made += 1
        return ulid(self.now, self.made)

    async def invoke(
        self, slug: str, *, data: bytes | None, user: bytes | None, sessions: bytes | None, debug_run_id: str = "",
        debug_session_id: str = "",
    ) -> str:  # fmt: skip
        debug = {"debug_run_id": debug_run_id, "debug_session_id": debug_session_id}
        self.commands.append(("invoke", slug, {"data": data, "user": user, "sessions": sessions, **debug}))
        return ulid(self.now, 0)

    async def invoke_function(self, function_id: str, data: bytes, idempotency_key: str) -> Invoked:
        self.commands.append(("invoke_function", function_id, data, idempotency_key))
        return Invoked(InvokeOutcome.STARTED, ulid(self.now, 0))

    async def accept_all(self, events: Sequence[Event]) -> None:
        self.commands.append(("accept_all", events))

    async def cancel_run(self, run_id: str) -> CancelOutcome:
        self.commands.append(("cancel_run", run_id))
        return self.cancelled

    async def rerun(
        self, run_id: str, *, from_step: str | None, input: bytes | None, output: bytes | None = None,
        debug_run_id: str = "", debug_session_id: str = "",
    ) -> str | None:  # fmt: skip
        debug = {"debug_run_id": debug_run_id, "debug_session_id": debug_session_id}
        self.commands.append(("rerun", run_id, {"from_step": from_step, "input": input, "output": output, **debug}))
        return self.rerun_id

    async def create_app(self, url: str) -> str | None:
        self.commands.append(("create_app", url))
        return self.app_error

    async def update_app(self, app_id: str, url: str) -> bool:
        self.commands.append(("update_app", app_id, url))
        return self.apps

    async def delete_app(self, app_id: str) -> bool:
        self.commands.append(("delete_app", app_id))
        return self.apps

    async def delete_app_by_name(self, name: str) -> bool:
        self.commands.append(("delete_app_by_name", name))
        return self.apps

    async def remove_app_by_url(self, url: str) -> bool:
        self.commands.append(("remove_app_by_url", url))
        return self.apps

    async def signal(self, name: str, data: bytes) -> str | None:
        self.commands.append(("signal", name, data))
        return self.signalled

    async def run_state(self, run_id: str) -> RunSnapshot | None:
        return self.state

    async def record_metadata(self, run_id: str, target: Target, updates: Sequence[Update]) -> None:
        self.commands.append(("record_metadata", run_id, target, updates))

    async def doing(self, run_ids: Sequence[str]) -> dict[str, Reason]:
        return {id: self.reasons[id][0] for id in run_ids if self.reasons.get(id)}

    async def why_runs(self, runs: Sequence[StoredRun]) -> dict[str, list[Reason]]:
        self.commands.append(("why_runs", [run.id for run in runs]))
        return {run.id: self.reasons.get(run.id, []) for run in runs}

    async def why_event(self, event: StoredEvent, runs: Sequence[StoredRun]) -> list[Reason]:
        self.commands.append(("why_event", event.id, [run.id for run in runs]))
        return self.reasons.get(event.id, [])

    async def cancel_many(self, cancellation: BulkCancellation) -> None:
        self.bulk.insert(0, cancellation)

    def cancellations(self) -> list[BulkCancellation]:
        return self.bulk

    async def remove_cancellation(self, id: str) -> bool:
        known = [one for one in self.bulk if one.id == id]
        for one in known:
            self.bulk.remove(one)
        return bool(known)

    async def pause_function(self, function_id: str, mode: PauseMode) -> None:
        self.pauses[function_id] = Paused(mode, 2)

    async def resume_function(self, function_id: str) -> None:
        self.pauses.pop(function_id, None)

    def paused(self, function_id: str) -> Paused | None:
        return self.pauses.get(function_id)

    async def backlog(self, function_id: str) -> None:
        return None

    async def workers(self) -> list[Worker]:
        return self.connections

    async def set_step_limit(self, function_id: str, limit: int | None) -> bool:
        self.commands.append(("set_step_limit", function_id, limit))
        return self.limited

    async def set_state_size_limit(self, function_id: str, limit: int | None) -> bool:
        self.commands.append(("set_state_size_limit", function_id, limit))
        return self.limited

    async def test_reset(self) -> None:
        self.commands.append(("test_reset",))

    async def test_pause_function(self, function_id: str) -> None:
        self.commands.append(("test_pause_function", function_id))

    def test_queue_size(self, function_id: str) -> int:
        self.commands.append(("test_queue_size", function_id))
        return 3
