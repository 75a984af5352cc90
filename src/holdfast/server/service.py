"""The server behind its APIs: commands for the engine, answers about what is alive right now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import msgspec

from holdfast.protocol.events import Event, Invocation, load_event, render_event, with_invocation
from holdfast.protocol.ids import xxh36
from holdfast.protocol.urls import with_scheme
from holdfast.server.access.audit import Audit
from holdfast.server.access.commands import by_enum, by_error, command, found
from holdfast.server.access.keys import Keys
from holdfast.server.access.principals import Role
from holdfast.server.activity.turns import error_line
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
    WorkerState,
)
from holdfast.server.config import Config
from holdfast.server.connect.gateway import Gateway
from holdfast.server.engine import lifecycle, schedule, why, why_event
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.settings import IdSource, Settings
from holdfast.server.model.backlog import Backlog
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.reason import Reason, ReasonKind
from holdfast.server.model.status import RunStatus
from holdfast.server.model.worker import ConnectedApp, WorkerConnection
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.runtime.router import Router
from holdfast.server.runtime.syncer import Syncer
from holdfast.server.store.history import History, StoredEvent, StoredRun
from holdfast.server.store.store import EndedRun, settled
from holdfast.server.telemetry.metadata import MetadataLog, Target, Update
from holdfast.server.webhooks.registry import Webhooks


class Service(Backend):
    """The backend of the APIs over one partition; its methods are documented in the protocols."""

    def __init__(
        self, config: Config, router: Router, apps: Apps, syncer: Syncer, history: History, settings: Settings,
        metadata: MetadataLog, keys: Keys, webhooks: Webhooks, ids: IdSource, gateway: Gateway,
    ) -> None:  # fmt: skip
        self._router = router
        self._apps = apps
        self._syncer = syncer
        self._settings = settings
        self._metadata = metadata
        self._ids = ids
        self._gateway = gateway
        self._now = router.for_events().now
        self._started_at = self._now()
        self.audit: Audit | None = None
        self.keys = keys
        self.webhooks = webhooks
        self.history = history
        self.info = _info(config)

    @property
    def _whole(self) -> Partition:
        """The one partition: for questions and commands that several will have to answer together."""
        (partition,) = self._router.every()
        return partition

    def now_ms(self) -> int:
        return self._now()

    def new_id(self) -> str:
        return self._ids.next(self.now_ms())

    # --- runs -------------------------------------------------------------------------------------------------------

    @command("function.invoked", Role.OPERATOR)
    async def invoke(
        self, slug: str, *, data: bytes | None, user: bytes | None, sessions: bytes | None, debug_run_id: str = "",
        debug_session_id: str = "",
    ) -> str:  # fmt: skip
        now = self.now_ms()
        id = self.new_id()
        link = Invocation(fn_id=slug, debug_run_id=debug_run_id, debug_session_id=debug_session_id)
        json = render_event(
            lifecycle.INVOKED, id, now, with_invocation(data or b"{}", link), user=user or b"{}",
            sessions=sessions or b"",
        )  # fmt: skip
        event = Event(id, lifecycle.INVOKED, id, now, now, json, invocation=link, sessions=sessions or b"")
        await self.accept(event)
        return id

    @command("function.invoked", Role.OPERATOR)
    async def invoke_function(self, function_id: str, data: bytes, idempotency_key: str) -> Invoked:
        now, id = self.now_ms(), self.new_id()
        external_id = xxh36(idempotency_key) if idempotency_key else id
        seen = f"{function_id}:{external_id}"
        partition = self._router.of_function(function_id)
        repeated = partition.view.started_before(seen, now)
        link = Invocation(fn_id=function_id)
        json = render_event(lifecycle.INVOKED, external_id, now, with_invocation(data, link))
        event = Event(id, lifecycle.INVOKED, external_id, now, now, json, bool(idempotency_key), link)
        if repeated:
            await partition.committed()  # the run that used the key may be of this turn
            return Invoked(InvokeOutcome.REPEATED, await self.history.run_of_key(seen) or "")
        started = await partition.submit(lambda engine, now: engine.on_event(event, now))
        if started:
            return Invoked(InvokeOutcome.STARTED, started[0].id)
        return Invoked(self._held_back(function_id))

    def _held_back(self, function_id: str) -> InvokeOutcome:
        """Return what kept an invocation from starting a run, by the order of the gates."""
        function = self._router.of_function(function_id).view.functions.get(function_id)
        config = function.config if function is not None else None
        if config is not None and config.batch is not None:
            return InvokeOutcome.BATCHED
        if config is not None and config.debounce is not None:
            return InvokeOutcome.DEBOUNCED
        if config is not None and config.rate_limit is not None:
            return InvokeOutcome.RATE_LIMITED
        return InvokeOutcome.SKIPPED

    async def accept(self, event: Event) -> None:
        """Take an event that the server made; it is durable afterwards."""
        await self.accept_all([event])

    @command("events.sent", Role.OPERATOR, often=True)
    async def accept_all(self, events: Sequence[Event]) -> None:
        await self._router.for_events().intake.take(events)

    @command("run.cancelled", Role.OPERATOR, by_enum)
    async def cancel_run(self, run_id: str) -> CancelOutcome:
        try:
            partition = self._router.of_run(run_id)
            await partition.submit_run(run_id, lambda engine, run, now: engine.cancel(run, "api", now))
        except NotAliveError:
            stored = await self.history.run(run_id)
            if stored is None:
                return CancelOutcome.MISSING
            cancelled = stored.status is RunStatus.CANCELLED
            return CancelOutcome.ALREADY_CANCELLED if cancelled else CancelOutcome.ENDED
        return CancelOutcome.CANCELLED

    @command("run.rerun", Role.OPERATOR, found)
    async def rerun(
        self, run_id: str, *, from_step: str | None, input: bytes | None, output: bytes | None = None,
        debug_run_id: str = "", debug_session_id: str = "",
    ) -> str | None:  # fmt: skip
        partition = self._router.of_run(run_id)
        ended = await settled(partition.store.load_ended(run_id))
        function = partition.view.functions.get(ended.function_id) if ended else None
        if ended is None or function is None:
            return None
        events = [load_event(*row) for row in await settled(partition.store.load_events(ended.event_ids))]
        if not events:
            return None
        request = schedule.Request(
            function, events, cron=ended.cron, original_run_id=run_id, debug_run_id=debug_run_id,
            debug_session_id=debug_session_id,
        )  # fmt: skip
        inputs = {from_step: input} if from_step and input is not None else {}
        kept = _steps_before(ended, from_step)
        if from_step and output is not None:
            kept[from_step] = _saved(output, ended.steps.get(from_step))
        run = await partition.submit(lambda engine, now: engine.rerun(request, kept, inputs, now))
        return run.id

    @command("signal.sent", Role.OPERATOR)
    async def signal(self, name: str, data: bytes) -> str | None:
        return await self._router.of_signal(name).submit(lambda engine, now: engine.on_signal(name, data, now))

    async def run_state(self, run_id: str) -> RunSnapshot | None:
        partition = self._router.of_run(run_id)
        run = partition.view.run(run_id)
        if run is None:
            return None
        body = await partition.body(run)
        return RunSnapshot(steps=dict(body.steps), events=list(body.events))

    @command("run.metadata_recorded", Role.OPERATOR, often=True)
    async def record_metadata(self, run_id: str, target: Target, updates: Sequence[Update]) -> None:
        await self._metadata.record(run_id, target, updates)

    # --- why ----------------------------------------------------------------------------------------------------------

    async def why_runs(self, runs: Sequence[StoredRun]) -> dict[str, list[Reason]]:
        found = self._whole.view.why([run.id for run in runs], self.now_ms())
        alive = set(found)
        gone = [run for run in runs if run.id not in found]
        missed = await self.history.runs_by_id([run.id for run in gone if not run.status.ended])
        for run in gone:  # one that has just ended is read again
            now_is = missed.get(run.id, run)
            found[run.id] = [why.past(now_is.status, now_is.ended_at, now_is.detail)] if now_is.status.ended else []
        for run in runs:
            if run.id in alive:
                found[run.id] = [self._with_app(run.app_id, reason) for reason in found[run.id]]
                found[run.id] += self._app_trouble(run)
        return await self._with_errors(found, gone)

    async def _with_errors(self, found: dict[str, list[Reason]], gone: Sequence[StoredRun]) -> dict[str, list[Reason]]:
        """Add to the reasons of failed runs what their errors say."""
        failed = {run.id: run for run in gone if found[run.id] and found[run.id][0].kind is ReasonKind.FAILED}
        outputs = await self.history.outputs(list(failed)) if failed else {}
        for id, run in failed.items():
            line = error_line(outputs.get(id), run.detail.error)
            found[id] = [msgspec.structs.replace(each, text=f"{each.text}: {line}") for each in found[id]]
        return found

    async def doing(self, run_ids: Sequence[str]) -> dict[str, Reason]:
        view, now = self._whole.look(), self.now_ms()
        if view is None:
            return {}
        found: dict[str, Reason] = {}
        for id in run_ids:
            run, reason = view.run(id), view.glance(id, now)
            if run is not None and reason is not None:
                found[id] = self._with_app(run.app_id, reason)
        return found

    def _with_app(self, app_id: str, reason: Reason) -> Reason:
        """Name the app whose workers are missing, and since when."""
        if reason.kind is not ReasonKind.NO_WORKER:
            return reason
        app = self._apps.apps.get(app_id)
        since = self._gateway.roster.gone_since.get(app_id, self._started_at)
        text = f"no worker of app {app.name if app else app_id} is connected since {why.when(since)}"
        return msgspec.structs.replace(reason, text=text, since=since)

    def _app_trouble(self, run: StoredRun) -> Iterator[Reason]:
        app = self._apps.apps.get(run.app_id)
        if app is not None and app.error:
            yield Reason(kind=ReasonKind.APP, text=f"its app {app.name} has an error: {app.error}")

    async def why_event(self, event: StoredEvent, runs: Sequence[StoredRun]) -> list[Reason]:
        asked = why_event.Asked(event.id, event.name, event.external_id, event.json)
        started = [self._started(run) for run in runs]
        return started + self._whole.view.why_event(asked, {run.function_id for run in runs}, self.now_ms())

    def _started(self, run: StoredRun) -> Reason:
        function = self._apps.functions.get(run.function_id)
        slug = function.slug if function is not None else run.function_id
        skipped = run.status is RunStatus.SKIPPED
        what = f"{slug} skipped it" if skipped else f"{slug} was started"
        kind = ReasonKind.SKIPPED if skipped else ReasonKind.STARTED
        text = f"{what}: run {run.id}"
        return Reason(kind=kind, text=text, since=run.scheduled_at, run_id=run.id, function=slug)

    # --- operations ---------------------------------------------------------------------------------------------------

    @command("cancellation.created", Role.OPERATOR)
    async def cancel_many(self, cancellation: BulkCancellation) -> None:
        await self._whole.submit(lambda engine, now: engine.cancel_many(cancellation, now))

    def cancellations(self) -> Sequence[BulkCancellation]:
        return self._whole.view.cancellations()

    @command("cancellation.removed", Role.OPERATOR, found)
    async def remove_cancellation(self, id: str) -> bool:
        return await self._whole.submit(lambda engine, _: engine.forget_cancellation(id))

    @command("function.paused", Role.OPERATOR)
    async def pause_function(self, function_id: str, mode: PauseMode) -> None:
        await self._router.of_function(function_id).submit(
            lambda engine, now: engine.pause(function_id, Mode(mode), now)
        )

    @command("function.resumed", Role.OPERATOR)
    async def resume_function(self, function_id: str) -> None:
        await self._router.of_function(function_id).submit(lambda engine, now: engine.resume(function_id, now))

    def paused(self, function_id: str) -> Paused | None:
        paused = self._router.of_function(function_id).view.paused(function_id)
        return Paused(paused[0].value, paused[1]) if paused is not None else None

    async def backlog(self, function_id: str) -> Backlog | None:
        return self._router.of_function(function_id).view.backlog(function_id, self.now_ms())

    # --- apps -------------------------------------------------------------------------------------------------------

    @command("app.created", Role.ADMIN, by_error)
    async def create_app(self, url: str) -> str | None:
        url = with_scheme(url)
        self._apps.expect(url)
        await self._apps.saved()
        return await self._syncer.ping(url) or None

    @command("app.updated", Role.ADMIN, found)
    async def update_app(self, app_id: str, url: str) -> bool:
        return await self._saved(self._apps.set_url(app_id, with_scheme(url)))

    @command("app.deleted", Role.ADMIN, found)
    async def delete_app(self, app_id: str) -> bool:
        return await self._saved(self._apps.archive(app_id))

    @command("app.deleted", Role.ADMIN, found)
    async def delete_app_by_name(self, name: str) -> bool:
        return await self._saved(any(self._apps.archive(a.id) for a in self._apps.active() if a.name == name))

    @command("app.deleted", Role.ADMIN, found)
    async def remove_app_by_url(self, url: str) -> bool:
        app = self._apps.by_url(url)
        return await self._saved(app is not None and self._apps.archive(app.id))

    async def _saved(self, changed: bool) -> bool:
        """Return whether apps were changed once that is durable."""
        if changed:
            await self._apps.saved()
        return changed

    async def workers(self) -> Sequence[Worker]:
        history, open_ = self._gateway.history, self._gateway.roster.workers.values()
        known = [(connection, WorkerState.DISCONNECTED) for connection in history.past]
        known += [(history.describe(worker), WorkerState(worker.status.name)) for worker in open_]
        return [_worker(connection, state, app) for connection, state in known for app in connection.apps]

    # --- test hooks -------------------------------------------------------------------------------------------------

    @command("function.step_limit_set", Role.ADMIN)
    async def set_step_limit(self, function_id: str, limit: int | None) -> bool:
        return _override(self._settings.step_limits, function_id, limit)

    @command("function.state_size_limit_set", Role.ADMIN)
    async def set_state_size_limit(self, function_id: str, limit: int | None) -> bool:
        return _override(self._settings.state_limits, function_id, limit)

    @command("server.reset", Role.ADMIN)
    async def test_reset(self) -> None:
        (partition,) = self._router.every()
        for run_id in [run.id for run in partition.view.runs()]:
            with contextlib.suppress(NotAliveError):  # the end of one may end others
                partition.give_run(run_id, lambda engine, run, now: engine.cancel(run, "reset", now))
        await partition.committed()

    @command("function.paused", Role.ADMIN)
    async def test_pause_function(self, function_id: str) -> None:
        await self.pause_function(function_id, "queue")

    def test_queue_size(self, function_id: str) -> int:
        return self._router.of_function(function_id).view.open_jobs(function_id)


def _worker(known: WorkerConnection, state: WorkerState, app: ConnectedApp) -> Worker:
    return Worker(
        known.id, known.gateway_id, known.instance_id, state, known.connected_at, app.hash, known.address, app.id,
        app.name, app.version or None, known.heartbeat_at, known.disconnected_at, known.reason or None, app.sync_id,
        known.sdk_language, known.sdk_version, known.platform, app.functions, known.limit, known.cpu_cores,
        known.memory_bytes, known.os,
    )  # fmt: skip


def _override(limits: dict[str, int], function_id: str, limit: int | None) -> bool:
    if limit is None:
        return limits.pop(function_id, None) is not None
    limits[function_id] = limit
    return True


def _steps_before(ended: EndedRun, from_step: str | None) -> dict[str, bytes]:
    """Return the steps that a rerun keeps: those saved before the one it starts from."""
    if from_step is None:
        return {}
    kept: dict[str, bytes] = {}
    for step, output in ended.steps.items():
        if step == from_step:
            break
        kept[step] = output
    return kept


def _saved(output: bytes, before: bytes | None) -> bytes:
    """Return an output as it is saved: bare where the one `before` was (waits, sleeps), as `{"data": …}` elsewhere."""
    return output if before is not None and _is_bare(before) else b'{"data":' + output + b"}"


def _is_bare(saved: bytes) -> bool:
    try:
        return not msgspec.json.decode(saved, type=dict[str, msgspec.Raw]).keys() <= {"data", "error"}
    except msgspec.ValidationError:
        return True


def _info(config: Config) -> ServerInfo:
    options: dict[str, object] = {
        "dir": "", "urls": list(config.sdk_urls) or None, "autodiscover": config.discovery, "poll": config.poll,
        "poll_interval": int(config.poll_interval), "tick": config.tick * 1_000_000,
        "retry_interval": config.retry_interval, "queue_workers": config.workers,
        "require_keys": config.kind == "cloud", "connectGatewayPort": config.gateway_port or config.port + 1,
        "connectGatewayHost": config.gateway_host,
        "NoUI": not config.ui, "persist": config.persist, "sqlite_dir": str(config.directory),
    }  # fmt: skip
    features = {"FEATURE_CEL_SEARCH": False, "enable-step-metadata": config.step_metadata, "run-details-v4": True}
    return ServerInfo("cloud" if config.kind == "cloud" else "dev", config.version, options, features)
