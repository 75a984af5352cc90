"""The engine's state, and the few moves that every decision is made of: open, close, push, record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from sys import intern
from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.events import Event
from holdfast.protocol.ids import xxh36
from holdfast.server.engine.changes import Changes, Dispatch
from holdfast.server.engine.dedupe import Seen
from holdfast.server.engine.flow import batch, debounce, throttle, timeouts
from holdfast.server.engine.flow.alarms import Alarms
from holdfast.server.engine.flow.batch import Batches
from holdfast.server.engine.flow.cancellations import BulkCancellations
from holdfast.server.engine.flow.debounce import Debounces
from holdfast.server.engine.flow.pausing import Pausing
from holdfast.server.engine.flow.rate_limit import RateLimits
from holdfast.server.engine.flow.singleton import Singletons
from holdfast.server.engine.flow.throttle import Throttles, gate, throttle_prefix
from holdfast.server.engine.queue import Deadline, Entry, Limit, Queue
from holdfast.server.engine.registry import Function, Registry
from holdfast.server.engine.run import Run
from holdfast.server.engine.settings import IdSource, Settings
from holdfast.server.engine.waits import Waits
from holdfast.server.expressions import Activation
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from holdfast.server.engine.fanout import Fanout

#: The key under which the workers of an app are counted (`protocol/flow-control.md` §4.12).
APP_KEY = "app:"
#: The key under which discoveries of one run come one after the other.
DISCOVERY_KEY = "discovery:"
#: What a missing or zero limit means (`protocol/flow-control.md` §4.1).
DEFAULT_CONCURRENCY = 1_000


class Cancellation(msgspec.Struct, frozen=True, gc=False):
    """A run that an event cancels, or that failed while it was parked; the shell loads its body first."""

    run_id: str
    cause: str


class Core:
    """All live state of one partition. `now` is the time of the input that is being handled (ms)."""

    __slots__ = (
        "batches", "bulk", "cancellations", "capacities", "changes", "debounces", "epoch", "exceeded", "fanouts",
        "inbox", "jitter", "new_id", "now", "pausing", "queue", "rate_limits", "registry", "runs", "seen", "settings",
        "singletons", "throttles", "waits",
    )  # fmt: skip

    def __init__(self, ids: IdSource, jitter: Callable[[int], int], settings: Settings, epoch: int) -> None:
        self.settings = settings
        self.epoch = epoch
        self.jitter = jitter
        self.new_id = ids.next
        self.now = 0
        self.registry = Registry()
        self.runs: dict[str, Run] = {}
        self.queue = Queue(settings.workers, self._awaited, self.ready, self._admit, self._leased)
        self.rate_limits = RateLimits()
        self.throttles = Throttles()
        self.debounces = Debounces()
        self.batches = Batches()
        self.singletons = Singletons()
        self.pausing = Pausing()
        self.capacities: dict[str, int] = {}  # calls at once that the workers of an app take, by app id
        self.bulk = BulkCancellations()
        self.waits = Waits()
        self.seen = Seen()
        self.inbox: deque[Event] = deque()
        self.cancellations: list[Cancellation] = []
        self.fanouts: dict[str, Fanout] = {}
        """Events of which something is left to do, by id."""
        self.exceeded: list[str] = []
        """Texts of expressions that used their budget up, for whoever counts and logs them."""
        self.changes = Changes()

    def activation(self, event: bytes, async_event: bytes | None = None) -> Activation:
        """Return what expressions look at: a run's event, and the one that just came in."""
        return Activation(event, async_event, now_ms=self.now, on_exceeded=self._exceeded)

    def _exceeded(self, text: str) -> None:
        self.exceeded.append(text)

    # --- runs -------------------------------------------------------------------------------------------------------

    def function(self, run: Run) -> Function | None:
        """Return the run's function as configured now; None once it was removed."""
        return self.registry.functions.get(run.function_id)

    def current(self, item: Job | Pause) -> bool:
        """Return whether a job or pause still stands."""
        run = self.runs.get(item.run_id)
        return run is not None and run.holds(item)

    def alarms(self, kind: str) -> Alarms | None:
        """Return the alarms of a flow-control feature; None for timeouts, which are the runs' own."""
        if kind == throttle.KIND:
            return self.throttles.alarms
        if kind == debounce.KIND:
            return self.debounces.alarms
        return self.batches.alarms if kind == batch.KIND else None

    def _awaited(self, item: Job | Pause | Deadline) -> bool:
        """Return whether a timer still has something to do."""
        if not isinstance(item, Deadline):
            return self.current(item)
        alarms = self.alarms(item.kind)
        return alarms.counts(item) if alarms is not None else item.key in self.runs

    def max_attempts(self, run: Run) -> int:
        """Attempts per job of the run's function; of a removed one, as they were when the run began."""
        function = self.function(run)
        return function.max_attempts if function else run.state.attempts or limits.DEFAULT_RETRIES + 1

    def step_limit(self, run: Run) -> int:
        """Return how many steps the run may save."""
        return self.settings.step_limits.get(run.function_id, limits.MAX_STEPS)

    def state_limit(self, run: Run) -> int:
        """Return how many bytes of events and outputs the run may hold."""
        return self.settings.state_limits.get(run.function_id, limits.MAX_STATE)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def new_job(
        self, run: Run, kind: JobKind, suffix: str, *, no: int = 0, due: int = 0, attempts: int = 0, attempt: int = 0,
        step: str = "", outgoing: str = "", race: bool = False, name: str = "", step_queued_at: int = 0, op: str = "",
    ) -> Job:  # fmt: skip
        """Open a job. `suffix` makes its stable id within the run; `no` is the number of the job that it follows."""
        job = Job(
            run.id, no or run.number(), kind, xxh36(f"{run.function_id}:{run.detail.key or run.id}{suffix}"),
            due or self.now, self.now, attempts or self.max_attempts(run), attempt, intern(step), intern(outgoing),
            race, 1, self.epoch, intern(name), step_queued_at, op,
        )  # fmt: skip
        self.open_job(run, job)
        return job

    def open_job(self, run: Run, job: Job) -> None:
        """Put a job's row down, in place of one of the same number."""
        run.open.put(job)
        self.changes.jobs[run.id, job.no] = job

    def close(self, run: Run, item: Job | Pause) -> None:
        """Remove a job or pause; a lease that it holds is released."""
        if run.open.get(item.no) is not item:
            return
        run.open.drop(item)
        if isinstance(item, Job):
            self.changes.jobs[run.id, item.no] = None
            self.release(run, item)
            if self.pausing.held:
                self.pausing.forget(run.function_id, item)
            due = item.due
        else:
            self.changes.pauses[run.id, item.no] = None
            self.waits.remove(item)
            due = item.expires if item.kind is not PauseKind.CANCEL else 0
        if due > self.now:
            self.queue.timers.ended()

    def push(self, run: Run, job: Job) -> None:
        """Send a job to its timer, or to the queue if it is due."""
        if job.due > self.now:
            self.queue.timers.add(job.due, job)
        else:
            self.enqueue(self.entry(run, job))

    def enqueue(self, entry: Entry) -> None:
        """Put an entry into the queue, unless its function is paused and it would start a run."""
        if not self.pausing.modes or not self._held(entry):
            self.queue.push(entry)

    def ready(self, entry: Entry) -> bool:
        """Whether an entry that waited may go on: its job still stands, and its function was not paused meanwhile."""
        return self.current(entry.job) and not (self.pausing.modes and self._held(entry))

    def _held(self, entry: Entry) -> bool:
        if entry.function_id not in self.pausing.modes or entry.job.kind is not JobKind.START:
            return False
        if self.runs[entry.job.run_id].started_at is not None:  # a retry, or a call that was cut off by a restart
            return False
        self.pausing.hold(entry)
        return True

    def entry(self, run: Run, job: Job) -> Entry:
        """Return a due job with its score and concurrency keys."""
        score = run.scheduled_at - run.state.priority * 1_000
        entry = Entry(job, run.function_id, score, self.claims(run, job))
        if job.kind is JobKind.START and run.state.holds is None:
            self._add_start_conditions(run, entry)
        return entry

    def _add_start_conditions(self, run: Run, entry: Entry) -> None:
        """What only a run's very first call has to wait for: whole-run concurrency and the throttle."""
        function = self.function(run)
        if function is None:
            return
        config = function.config
        entry.whole = self.whole(run)
        bucket = run.state.throttle
        if config.throttle is not None and bucket.startswith(throttle_prefix(config.throttle)):
            entry.gate = gate(config.throttle, bucket) if run.started_at is None else None

    def follow(self, run: Run, job: Job, successor: Job) -> None:
        """`successor` takes the place of the leased `job`: at once where nobody else waits, else in its turn."""
        lease = self._lease(job)
        if successor.due > self.now or lease is None:
            self.release(run, job)
            self.push(run, successor)
            return
        run.leased -= 1
        if not self._needs_the_same(lease, run, successor) or not self.queue.chain(lease, successor):
            self.queue.succeed(job, self.entry(run, successor))

    def _needs_the_same(self, lease: Entry, run: Run, successor: Job) -> bool:
        alone = self._alone(run, successor)
        return lease.limits == self.limits(run) + alone if lease.limits else not alone

    def leased(self, job: Job) -> bool:
        """Return whether a job is being executed. One that was answered late, after a restart, may wait instead."""
        return self._lease(job) is not None

    def hand_over(self, job: Job, held: Job) -> None:
        """Let `held`, which replaced `job`, have its lease, if there is one."""
        if (lease := self._lease(job)) is not None:
            lease.job = held

    def reopen(self, run: Run, job: Job) -> Job:
        """Return a job anew: whatever place of the queue it waited in, it is not dispatched from there."""
        again = msgspec.structs.replace(job)
        self.open_job(run, again)
        return again

    def release(self, run: Run, job: Job) -> None:
        """Give a job's lease back, if it has one."""
        if self._lease(job) is not None:
            run.leased -= 1
            self.queue.release(job)

    def _lease(self, job: Job) -> Entry | None:
        entry = self.queue.leases.get((job.run_id, job.no))
        return entry if entry is not None and entry.job is job else None

    def limits(self, run: Run) -> tuple[Limit, ...]:
        """Return the concurrency keys of a run's calls."""
        function = self.function(run)
        capacity = self.capacities.get(run.app_id) if self.capacities else None
        if function is None or (capacity is None and not function.config.concurrency.steps):
            return ()
        found: dict[str, Limit] = {}  # sorted by limit: of two for one key, the lower counts
        if capacity is not None:
            found[run.app_id] = Limit(f"{APP_KEY}{run.app_id}", capacity)
        for item in function.config.concurrency.steps:
            key = self._key(run, item.scope, item.key, item.hash)
            if key is not None and key not in found:
                found[key] = Limit(key, item.limit if item.limit > 0 else DEFAULT_CONCURRENCY)
        return tuple(found.values())

    def claims(self, run: Run, job: Job) -> tuple[Limit, ...]:
        """Return all keys that a job of a run needs for its call."""
        return self.limits(run) + self._alone(run, job)

    def whole(self, run: Run) -> tuple[Limit, ...]:
        """Return the key that a run holds from its start to its end."""
        function = self.function(run)
        if function is None or not function.config.concurrency.runs:
            return ()
        item = function.config.concurrency.runs[0]
        key = self._key(run, f"run-{item.scope}", item.key, item.hash)
        return (Limit(f"run:{key}", item.limit),) if key is not None else ()

    @staticmethod
    def _alone(run: Run, job: Job) -> tuple[Limit, ...]:
        """Return the key of a run's discoveries: SDKs before request version 2 ask for one after each parallel step.

        They come one after the other, so that those asked for meanwhile are one call.
        """
        state = run.state
        if state.force_plan and state.request_version < 2 and job.discovers:
            return (Limit(f"{DISCOVERY_KEY}{run.id}", 1),)
        return ()

    def asked(self, job: Job) -> bool:
        """Whether a job's call is under way: leased in an earlier turn, so that it doesn't know this turn's steps."""
        effects = self.changes.effects
        return self._lease(job) is not None and not any(effect.job is job for effect in reversed(effects))

    @staticmethod
    def _key(run: Run, scope: str, expression: str, digest: str) -> str | None:
        if not expression:
            return run.function_id
        prefix = f"{scope}:{digest}:"
        return next((key for key in run.state.keys or () if key.startswith(prefix)), None)

    def _admit(self, entry: Entry) -> bool:
        if not self.current(entry.job) or entry.gate is None:
            return True
        if self.throttles.admit(entry, entry.gate, self.queue.timers, self.changes, self.now):
            entry.gate = None
            run = self.runs[entry.job.run_id]
            run.state.throttle = ""  # paid for, even if it has to wait for a worker now, or again after a crash
            self.changes.touch(run)
            return True
        return False

    def _leased(self, entry: Entry) -> None:
        run = self.runs[entry.job.run_id]
        run.leased += 1
        entry.since = self.now
        if entry.whole:
            run.state.holds = [limit.key for limit in entry.whole]
            entry.whole = ()
            self.changes.touch(run)
        if run.status is RunStatus.SCHEDULED:
            run.status = RunStatus.RUNNING
            run.started_at = self.now
            self.changes.touch(run)
            function = self.function(run)
            if function is not None and function.config.timeouts is not None:
                timeouts.arm(timeouts.FINISH, function.config, run, self.queue.timers)
        self.changes.effects.append(Dispatch(run, entry.job))

    # --- pauses -----------------------------------------------------------------------------------------------------

    def open_pause(self, run: Run, pause: Pause) -> None:
        """Put a pause's row down, index it, and set its timer (a cancel pause only lapses)."""
        run.open.put(pause)
        self.changes.pauses[run.id, pause.no] = pause
        self.waits.add(pause)
        if pause.kind is not PauseKind.CANCEL:
            self.queue.timers.add(pause.expires, pause)

    # --- records ----------------------------------------------------------------------------------------------------

    def record(self, run: Run, span: Span, output: bytes | None = None) -> None:
        """Append to the run's history what is not a memoised step."""
        self.changes.spans.append((run.id, run.sequence(), output, span))

    def memoise(self, run: Run, step_id: str, output: bytes, span: Span) -> bool:
        """Save a step's result, once: the first write wins. Tells whether this was the first."""
        body = run.body
        if body is not None:
            if step_id in body.steps:
                return False
            body.steps[step_id] = output
        self.changes.steps.append((run.id, run.sequence(), step_id, output, span))
        run.step_count += 1
        run.state_size += len(output)
        if run.pending is not None:
            run.pending.discard(step_id)
        return True
