"""What holds whatever happens, in whatever order: limits, rates, order, fairness, nothing lost, nothing left over."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.replies import failing, ops, ran, returns, sleep, throws
from engine.world import DAY, HOUR, SECOND
from holdfast.server.engine.flow.gcra import NS_PER_MS, rate
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .world import FlowWorld, register

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEYED = {"key": "event.data.k"}

concurrency = st.one_of(
    st.builds(lambda limit: {"limit": limit}, st.integers(1, 3)),
    st.builds(lambda limit: {"limit": limit, **KEYED}, st.integers(1, 2)),
    st.builds(lambda a, b: [{"limit": a, **KEYED}, {"limit": b}], st.integers(1, 2), st.integers(1, 4)),
    st.builds(
        lambda a, b: {"fn": [{"limit": a, **KEYED}], "step": [{"limit": b}]}, st.integers(1, 2), st.integers(1, 3)
    ),
)
throttle = st.none() | st.fixed_dictionaries(
    {"limit": st.integers(1, 3), "period": st.sampled_from(["1s", "10s"]), "burst": st.integers(0, 2)},
    optional={"key": st.just("event.data.k")},
)
configs = st.fixed_dictionaries(
    {"concurrency": concurrency, "throttle": throttle, "priority": st.just({"run": "event.data.p"})}
)  # fmt: skip
deeds = st.lists(
    st.tuples(
        st.sampled_from(
            ["event"] * 4
            + ["burst", "finish", "finish", "step", "sleep", "throw", "fail step", "cancel", "time", "time"]
            + ["crash", "resync", "pause", "resume"]
        ),
        st.integers(0, 7),
    ),
    max_size=60,
)


class Chaos:
    """Does deeds to a world, and knows which limits are in force."""

    def __init__(self, config: dict[str, Any], others: list[dict[str, Any]], workers: int) -> None:
        self.config, self.others, self.version, self.sent = config, others, 1, 0
        self.world = FlowWorld(self._function(), settings=Settings(workers=workers))

    def _function(self) -> Any:
        options = {name: value for name, value in self.config.items() if value is not None}
        return register(version=self.version, retries=1, **options)

    def do(self, deed: str, number: int) -> None:
        w = self.world
        if deed == "event":
            self.send(1, number)
        elif deed == "burst":
            self.send(5, number)
        elif deed == "time":
            w.advance([1, 100, 500, SECOND, 3 * SECOND, 10 * SECOND, HOUR, DAY][number])
        elif deed == "crash":
            w.restart()
        elif deed == "resync":
            self.resync(number)
        elif deed == "pause":
            w.pause("app-fn")
        elif deed == "resume":
            w.resume("app-fn")
        elif deed == "cancel":
            self.cancel(number)
        elif w.calls:
            self.answer(deed, number)

    def send(self, count: int, number: int) -> None:
        items = [{"n": self.sent + i, "k": (number + i) % 3, "p": number} for i in range(count)]
        self.sent += count
        self.world.burst("go", items)

    def resync(self, number: int) -> None:
        if self.others:
            self.config, self.version = self.others[number % len(self.others)], self.version + 1
        self.world.configure(self._function())

    def cancel(self, number: int) -> None:
        live = list(self.world.engine._core.runs.values())
        if live:
            self.world.cancel(live[number % len(live)])

    def answer(self, deed: str, number: int) -> None:
        w = self.world
        call = w.calls.pop(number % len(w.calls))
        if call.run.id in w.engine._core.runs:
            w.load(call.run)
        replies = {
            "finish": returns(),
            "step": ops(ran(f"s{w.now}")),
            "sleep": ops(sleep(f"z{w.now}", "2s")),
            "throw": throws(),
            "fail step": ops(failing(f"f{w.now}")),
        }
        w.answer(call, replies[deed])

    def check_limits(self) -> None:
        """Of the limits that were never lowered meanwhile: not one more at once."""
        w = self.world
        runs = [w.engine._core.runs[key[0]] for key in w.engine._core.queue.leases]
        steps, whole = self._limits()
        for limit in steps:
            assert all(n <= limit["limit"] for n in self._count(runs, limit).values())
        under_way = [run for run in w.engine._core.runs.values() if run.started_at is not None]
        for limit in whole:
            assert all(n <= limit["limit"] for n in self._count(under_way, limit).values())
        assert len(runs) <= w.settings.workers

    def _limits(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        given = self.config["concurrency"]
        if isinstance(given, dict) and "fn" in given:
            return given["step"], given["fn"]
        return (given if isinstance(given, list) else [given]), []

    def _count(self, runs: list[Any], limit: dict[str, Any]) -> Counter[object]:
        data = [self.world.events_of(run.id)[0]["data"] for run in runs]
        return Counter(item["k"] if "key" in limit else "" for item in data)

    def drain(self) -> None:
        """Lets everything come to its end."""
        w = self.world
        w.resume("app-fn")
        for _ in range(10_000):
            w.finish_all()
            due = w.engine.next_due()
            if due is None:
                break
            w.advance_to(due)

    def check_end(self) -> None:
        w = self.world
        assert sorted(w.labels) == list(range(self.sent))
        assert all(row.status.ended for row in w.rows.runs.values())
        w.check_idle()


@quick
@given(configs, st.integers(1, 6), deeds)
def test_limits_hold_and_nothing_leaks(config: dict[str, Any], workers: int, what: list[tuple[str, int]]) -> None:
    chaos = Chaos(config, [], workers)
    with closing(chaos.world.store):
        for deed in what:
            chaos.do(*deed)
            chaos.check_limits()
        chaos.drain()
        chaos.check_end()


@quick
@given(configs, st.lists(configs, min_size=1, max_size=3), deeds)
def test_limits_that_change_leak_nothing(
    config: dict[str, Any], others: list[dict[str, Any]], what: list[tuple[str, int]]
) -> None:  # fmt: skip
    chaos = Chaos(config, others, 4)
    with closing(chaos.world.store):
        for deed in what:
            chaos.do(*deed)
        chaos.drain()
        chaos.check_end()


@quick
@given(
    st.fixed_dictionaries(
        {"limit": st.integers(1, 3), "period": st.sampled_from(["1s", "3s"]), "burst": st.integers(0, 2)}
    ),
    deeds,
)
def test_no_more_starts_than_the_throttle_allows(wanted: dict[str, Any], what: list[tuple[str, int]]) -> None:
    chaos = Chaos({"concurrency": {"limit": 2}, "throttle": wanted, "priority": None}, [], 100)
    with closing(chaos.world.store):
        for deed in what:
            chaos.do(*deed)
        chaos.drain()
        chaos.check_end()
        started = sorted(r.started_at for r in chaos.world.rows.runs.values() if r.started_at is not None)
    of = rate(wanted["limit"], int(wanted["period"][0]) * SECOND * NS_PER_MS, wanted["burst"])
    tat = 0
    for moment in started:
        assert of.free_at(tat, moment * NS_PER_MS) == moment * NS_PER_MS
        tat = of.after(tat, moment * NS_PER_MS)


@quick
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 2_000)), min_size=1, max_size=30),
    st.integers(0, 29),
)
def test_within_a_key_the_order_is_that_of_time_and_priority(sent: list[tuple[int, int, int]], crash: int) -> None:
    w = FlowWorld(register(concurrency={"limit": 1, **KEYED}, priority={"run": "event.data.p"}))
    with closing(w.store):
        for k in (0, 1):
            w.event(n=f"busy{k}", k=k)
        expected = []
        for n, (k, p, wait) in enumerate(sent):
            w.advance(wait)
            w.event(n=n, k=k, p=p)
            expected.append((k, w.now - p * 1_000, n))
            if n == crash:
                w.restart()
        order = [n for n in w.finish_all() if isinstance(n, int)]
        w.check_idle()
    keys = [k for k, _, _ in sent]
    for k in (0, 1):
        assert [n for n in order if keys[n] == k] == [n for key, _, n in sorted(expected) if key == k]


@quick
@given(st.integers(1, 4), st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_worker_slots_go_round(workers: int, backlogs: list[int]) -> None:
    functions = [register(f"app-{n}", f"go{n}") for n in range(len(backlogs))]
    w = FlowWorld(*functions, register("app-busy", "busy"), settings=Settings(workers=workers))
    with closing(w.store):
        w.burst("busy", [{"n": -1}] * workers)
        for number, count in enumerate(backlogs):
            w.burst(f"go{number}", [{"n": number}] * count)
        served: Counter[int] = Counter()
        for n in w.finish_all():
            if n >= 0:
                served[n] += 1
                hungry = [i for i, count in enumerate(backlogs) if served[i] < count]
                assert all(served[n] - served[i] <= 1 + workers for i in hungry)
        w.check_idle()
    assert [served[i] for i in range(len(backlogs))] == backlogs


streams = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(0, 2), st.booleans()), min_size=1, max_size=40
)  # fmt: skip


@quick
@given(st.integers(2, 5), streams)
def test_a_batch_loses_and_doubles_nothing(size: int, stream: list[tuple[int, int, bool]]) -> None:
    w = FlowWorld(register(batchEvents={"maxSize": size, "timeout": "3s", **KEYED}))
    sent: dict[int, list[tuple[int, int]]] = {}
    with closing(w.store):
        for n, (wait, k, crash) in enumerate(stream):
            w.advance(wait)
            w.event(n=n, k=k)
            sent.setdefault(k, []).append((n, w.now))
            if crash:
                w.restart()
        w.advance(HOUR)
        batches = [(row.scheduled_at, w.events_of(id)) for id, row in w.rows.runs.items()]
        w.finish_all()
        w.check_idle()
    for k, events in sent.items():
        mine = [(at, [e["data"]["n"] for e in found]) for at, found in batches if found[0]["data"]["k"] == k]
        assert mine == _batches(events, size, 3 * SECOND)


def _batches(events: list[tuple[int, int]], size: int, timeout: int) -> list[tuple[int, list[int]]]:
    """When each batch starts, and what is in it."""
    found: list[tuple[int, list[int]]] = []
    gathered: list[int] = []
    due = 0
    for n, at in [*events, (-1, DAY * 100_000)]:
        if gathered and at >= due:
            found.append((due, gathered))
            gathered = []
        if not gathered:
            due = at + timeout
        gathered.append(n)
        if len(gathered) == size:
            found.append((at, gathered))
            gathered = []
    return found


@quick
@given(st.sampled_from([None, "4s", "20s"]), streams)
def test_a_debounce_fires_when_the_model_says(timeout: str | None, stream: list[tuple[int, int, bool]]) -> None:
    limits = {"timeout": timeout} if timeout else {}
    w = FlowWorld(register(debounce={"period": "3s", **limits, **KEYED}))
    sent: dict[int, list[tuple[int, int]]] = {}
    with closing(w.store):
        for n, (wait, k, crash) in enumerate(stream):
            w.advance(wait)
            w.event(n=n, k=k)
            sent.setdefault(k, []).append((n, w.now))
            if crash:
                w.restart()
        w.advance(HOUR)
        runs = [(row.scheduled_at, w.events_of(id)[0]["data"]) for id, row in w.rows.runs.items()]
        w.finish_all()
        w.check_idle()
    for k, events in sent.items():
        expected = _debounces(events, 3 * SECOND, int(timeout[:-1]) * SECOND if timeout else DAY)
        assert [(at, data["n"]) for at, data in runs if data["k"] == k] == expected


def _debounces(events: list[tuple[int, int]], period: int, most: int) -> list[tuple[int, int]]:
    """When each debounce fires, and with which event."""
    found: list[tuple[int, int]] = []
    last, due, limit = -1, 0, 0
    for n, at in [*events, (-2, DAY * 100_000)]:
        if last >= 0 and at >= due:
            found.append((due, last))
            last = -1
        if last < 0:
            limit = at + most
        last, due = n, min(at + period, limit)
    return found


@quick
@given(st.sampled_from(["skip", "cancel"]), deeds)
def test_a_singleton_is_never_two(mode: str, what: list[tuple[str, int]]) -> None:
    config = {"concurrency": {"limit": 3}, "throttle": None, "priority": None, "singleton": {"mode": mode, **KEYED}}
    chaos = Chaos(config, [], 4)
    w = chaos.world
    with closing(w.store):
        for deed in what:
            chaos.do(*deed)
            keys = Counter(w.events_of(id)[0]["data"]["k"] for id in w.engine._core.runs)
            assert all(count == 1 for count in keys.values())
        chaos.drain()
        chaos.check_end()
        assert not w.outcomes(RunStatus.SKIPPED) or mode == "skip"
