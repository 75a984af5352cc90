"""A world for flow control: functions as apps register them, runs told apart by `event.data.n`, a real store.

Every scenario may die in its middle: `middle()` restarts from the store when the test runs with `crash`, and nothing
that follows may notice. Calls in flight are made again then, so a scenario names runs, never calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.replies import Reply, hashed, ops, ran, returns, sleep
from engine.world import World
from holdfast.protocol.events import Event, load_event, read_events
from holdfast.protocol.registration import decode_registration
from holdfast.server.engine.changes import Dispatch
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.flow.restore import needed_events
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Run
from holdfast.server.engine.schedule import Request
from holdfast.server.engine.settings import Settings
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime import turns
from holdfast.server.store.sqlite.store import SqliteStore
from store.memory import Rows


def register(slug: str = "app-fn", on: Any = "go", *, version: int = 1, retries: int = 4, **options: Any) -> Function:
    """A function as an SDK registers it. `on`: an event's name, a trigger, or several; options as on the wire."""
    given = on if isinstance(on, list) else [on]
    triggers = [{"event": item} if isinstance(item, str) else item for item in given]
    step = {
        "id": "step",
        "name": "step",
        "runtime": {"type": "http", "url": f"http://app/api?fnId={slug}&stepId=step"},
        "retries": {"attempts": retries},
    }
    wire = {"id": slug, "name": slug, "triggers": triggers, "steps": {"step": step}, **options}
    (config,) = decode_registration(json.dumps({"functions": [wire]}).encode()).functions
    return Function(f"id-{slug}", "id-app", slug, slug, version, config)


class StoredRows(Rows):
    """Rows that are committed to a store as well."""

    store: SqliteStore

    def commit(self, changes: Any) -> None:
        super().commit(changes)
        if not changes.empty:
            self.store.commit(changes)


class FlowWorld(World):
    """A world whose restarts go through a store."""

    def __init__(
        self, *functions: Function, crash: bool = False, settings: Settings | None = None, jitter: int = 0
    ) -> None:
        self.crash = crash
        self._labels: dict[str, Any] = {}
        super().__init__(settings=settings, jitter=jitter)
        self.store = SqliteStore(None, "none")
        self.rows = StoredRows()
        self.rows.store = self.store
        self.configure(*functions)

    def middle(self) -> None:
        """The middle of a scenario: the process may die here."""
        if self.crash:
            self.restart()

    def restart(self) -> None:
        self.calls.clear()
        self.exchanges.clear()
        self.epoch += 1
        self.engine = self._engine()
        turns.recover(self.engine, self.store.recover(needed_events), self._configure, self.now)
        self.turn()
        self.tick()

    def _configure(self, engine: Engine, now: int) -> None:
        engine.configure(self.functions, now)

    def load(self, run: Run) -> None:
        if run.body is None:
            self.engine.give_body(run, self.store.load_body(run.id))

    # --- inputs -------------------------------------------------------------------------------------------------------

    def event(self, name: str = "go", **data: Any) -> None:
        """An event arrives; whether it starts anything is seen later."""
        self.send(name, data)

    def make(self, name: str, data: dict[str, Any]) -> Event:
        return self._read([{"name": name, "data": data}])[0]

    def burst(self, name: str, items: Iterable[dict[str, Any]]) -> None:
        """Many events in one request: one turn."""
        self.seeded(name, items, "")

    def seeded(self, name: str, items: Iterable[dict[str, Any]], seed: str) -> None:
        """A request whose events have the same internal ids whenever it is repeated."""
        for event in self._read([{"name": name, "data": item} for item in items], seed):
            self.engine.on_event(event, self.now)
        self.turn()

    def _read(self, items: list[dict[str, Any]], seed: str = "") -> list[Event]:
        body = json.dumps(items).encode()
        intake = read_events(
            body, content_type="application/json", now_ms=self.now, new_id=self.ids.next, seed=seed
        )  # fmt: skip
        assert not intake.error
        return intake.events

    def pause(self, slug: str, mode: Mode = Mode.QUEUE) -> None:
        self.engine.pause(f"id-{slug}", mode, self.now)
        self.turn()

    def resume(self, slug: str) -> None:
        self.engine.resume(f"id-{slug}", self.now)
        self.turn()

    def rerun(self, n: Any) -> Run:
        """Runs the run with this `n` again."""
        ended = self.store.load_ended(self.ids_of(n)[0])
        assert ended is not None
        events = [load_event(*row) for row in self.store.load_events(ended.event_ids)]
        function = self.engine._core.registry.functions[ended.function_id]
        run = self.engine.rerun(Request(function, events, original_run_id=self.ids_of(n)[0]), {}, {}, self.now)
        self.turn()
        return run

    # --- calls --------------------------------------------------------------------------------------------------------

    @property
    def at_work(self) -> list[Any]:
        """The `n` of each run that is being called, in the order of the calls."""
        return [self._label(c.run.id) for c in self.calls]

    def take(self, n: Any) -> Dispatch:
        """The call of the run with this `n`."""
        (found,) = [c for c in self.calls if self._label(c.run.id) == n]
        self.calls.remove(found)
        live = self.engine._core.runs[found.run.id]
        self.load(live)
        return found

    def reply_to(self, n: Any, reply: Reply) -> None:
        """Answers the call of one run."""
        assert self.answer(self.take(n), reply)

    def finish(self, *ns: Any) -> None:
        """Completes runs, in this order."""
        for n in ns:
            self.reply_to(n, returns(n))

    def step(self, n: Any, name: str = "step") -> None:  # type: ignore[override]
        """A run completes a step and goes on."""
        self.reply_to(n, ops(ran(name, n)))

    def sleep(self, n: Any, duration: str = "1h", name: str = "nap") -> None:
        """A run goes to sleep."""
        self.reply_to(n, ops(sleep(name, duration)))

    def finish_all(self, most: int = 1_000) -> list[Any]:
        """Completes whatever is called, until nothing is; returns the `n`s in the order of their calls."""
        order: list[Any] = []
        while self.calls:
            order.append(self.at_work[0])
            self.answer(self.take_first(), returns())
            assert len(order) <= most
        return order

    def take_first(self) -> Dispatch:
        call = self.calls.pop(0)
        self.load(call.run)
        return call

    # --- what was committed -------------------------------------------------------------------------------------------

    def ids_of(self, n: Any, function: str = "") -> list[str]:
        """The runs with this `n`, oldest first."""
        return [
            id for id, row in self.rows.runs.items()
            if self._label(id) == n and (not function or row.function_id == f"id-{function}")
        ]  # fmt: skip

    def id_of(self, n: Any) -> str:
        (id,) = self.ids_of(n)
        return id

    def live(self, n: Any) -> Run:
        return self.engine._core.runs[self.id_of(n)]

    def step_of(self, n: Any, name: str) -> Any:
        """What a step of the run with this `n` gave."""
        return {step: json.loads(output) for step, output in self.rows.memo(self.id_of(n)).items()}[hashed(name)]

    def memo_of(self, n: Any) -> dict[str, bytes]:
        return self.rows.memo(self.id_of(n))

    def history_of(self, n: Any) -> list[Span]:
        return self.history(Run(self.id_of(n), "", "", 0))

    def outcome(self, n: Any) -> RunStatus:
        return self.rows.runs[self.id_of(n)].status

    def outcomes(self, status: RunStatus) -> list[Any]:
        """The `n`s of the runs with this status, in the order in which the runs were made."""
        return [self._label(id) for id, row in self.rows.runs.items() if row.status is status]

    @property
    def labels(self) -> list[Any]:
        """The `n`s of all runs, in the order in which they were made."""
        return [self._label(id) for id in self.rows.runs]

    def events_of(self, run_id: str) -> list[dict[str, Any]]:
        ids = self.rows.runs[run_id].event_ids
        return [json.loads(row[5]) for row in self.store.load_events(ids)]

    def _label(self, run_id: str) -> Any:
        known = self._labels.get(run_id)
        if known is None:
            found = [event["data"].get("n") for event in self.events_of(run_id)]
            known = self._labels[run_id] = found[0] if len(found) == 1 else found
        return known

    # --- invariants ---------------------------------------------------------------------------------------------------

    def check_idle(self) -> None:
        """Nothing is left, in memory or in tables."""
        super().check_idle()
        core = self.engine._core
        assert not core.singletons.holders
        assert not core.debounces.pending
        assert not core.batches.filling
        assert not core.throttles.waiting()
        assert not core.pausing.held
        recovered = self.store.recover()
        assert not recovered.runs
        assert {kind for kind, _, _ in recovered.flow} <= {"rate", "throttle", "paused"}
