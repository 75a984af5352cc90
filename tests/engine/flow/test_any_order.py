"""All features of flow control, in any combination, under apps that answer anything: nothing is left over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.replies import returns
from engine.test_any_answer import REPLIES, WHICH, answer, cancel, exchange
from engine.world import HOUR, MINUTE, SECOND
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.settings import Settings

from .world import FlowWorld, register

Options = dict[str, Any]
Move = tuple[Callable[[FlowWorld, int, Any], None], int, Any]

KEY = "event.data.k"
KEYED: st.SearchStrategy[Options] = st.sampled_from([{}, {"key": KEY}])


def some(**fields: Any) -> st.SearchStrategy[Options]:
    """Options with these members, with or without a key."""
    return st.builds(lambda key, given: {**given, **key}, KEYED, st.fixed_dictionaries(fields))


FEATURES: dict[str, st.SearchStrategy[Any]] = {
    "concurrency": st.one_of(
        some(limit=st.integers(1, 2)),
        st.builds(lambda runs, steps: {"fn": [runs], "step": [steps]}, some(limit=st.just(1)), some(limit=st.just(1))),
    ),
    "throttle": some(limit=st.integers(1, 2), period=st.just("10s"), burst=st.integers(0, 1)),
    "rateLimit": some(limit=st.integers(1, 2), period=st.just("1m")),
    "debounce": some(period=st.just("5s"), timeout=st.sampled_from(["8s", ""])),
    "batchEvents": some(maxSize=st.integers(1, 3), timeout=st.just("5s")),
    "singleton": some(mode=st.sampled_from(["skip", "cancel"])),
    "priority": st.just({"run": "event.data.p"}),
    "cancel": st.sampled_from([
        [{"event": "e"}], [{"event": "e", "if": "event.data.k == async.data.k"}], [{"event": "go", "timeout": "5s"}]
    ]),
    "timeouts": st.sampled_from([{"start": "3s"}, {"finish": "20s"}, {"start": "1m", "finish": "1h"}]),
}  # fmt: skip
CONFIGS: st.SearchStrategy[Options] = st.lists(st.sampled_from(list(FEATURES)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FEATURES[name] for name in names})
)


def send(world: FlowWorld, number: int, name: str) -> None:
    world.event(name, k="ab"[number % 2], p=number, n=number)


def burst(world: FlowWorld, number: int, _: object) -> None:
    world.burst("go", [{"k": "ab"[n % 2], "p": n, "n": n} for n in range(number + 1)])


def invoked(world: FlowWorld, number: int, _: object) -> None:
    world.invoke("app-fn", {"k": "ab"[number % 2], "p": number, "n": number})


def advance(world: FlowWorld, ms: int, _: object) -> None:
    world.advance(ms)


def pause(world: FlowWorld, _number: int, mode: Any) -> None:
    world.pause("app-fn", mode)


def resume(world: FlowWorld, *_: object) -> None:
    world.resume("app-fn")


def restart(world: FlowWorld, *_: object) -> None:
    world.restart()


def resync(world: FlowWorld, version: int, options: Options) -> None:
    child = world.functions[1]
    world.configure(register(version=version + 2, retries=1, **options), child)


def leave(world: FlowWorld, *_: object) -> None:
    """The function is gone from its app, and comes back."""
    functions = list(world.functions)
    world.configure(functions[1])
    world.configure(*functions)


NOTHING = st.none()
ANSWERS: st.SearchStrategy[Move] = st.tuples(st.just(answer), WHICH, REPLIES)
MOVES: st.SearchStrategy[Move] = st.one_of(
    ANSWERS, ANSWERS, st.tuples(st.just(send), WHICH, st.sampled_from(["go", "go", "go", "e"])),
    st.tuples(st.just(burst), WHICH, NOTHING), st.tuples(st.just(invoked), WHICH, NOTHING),
    st.tuples(st.just(exchange), WHICH, st.booleans()), st.tuples(st.just(cancel), WHICH, NOTHING),
    st.tuples(st.just(advance), st.sampled_from([2, 4 * SECOND, 10 * SECOND, 2 * HOUR]), NOTHING),
    st.tuples(st.just(resync), WHICH, CONFIGS),
    st.tuples(st.sampled_from([restart, leave, resume]), WHICH, NOTHING),
    st.tuples(st.just(pause), WHICH, st.sampled_from(list(Mode))),
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, st.lists(MOVES, max_size=20), st.integers(1, 3))
def test_nothing_is_left_over(options: Options, script: list[Move], workers: int) -> None:
    functions = register(retries=1, **options), register("app-child", ["child", "inngest/deferred.schedule"], retries=0)
    world = FlowWorld(*functions, settings=Settings(workers=workers))
    with closing(world.store):
        for move, number, with_what in script:
            move(world, number, with_what)
        world.resume("app-fn")
        for _ in range(80):  # from now on all is answered, and time passes
            while world.calls or world.exchanges:
                answer(world, 0, returns("done"))
                exchange(world, 0, True)
            world.advance(10 * MINUTE)
        assert not world.engine._core.runs
        assert all(run.status.ended for run in world.rows.runs.values())
        assert not world.rows.jobs
        assert not world.rows.pauses
