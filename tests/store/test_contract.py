"""What every store promises: it knows rows, not rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import JobKind, PauseKind, encode_row
from holdfast.server.model.run import Defer
from holdfast.server.model.status import RunStatus
from holdfast.server.store.store import StoreError

from .harness import KINDS, LASTING, T0, Bench, begin, begun, event, full_run, job, pause, put, run, span


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(request.param, tmp_path)
    yield made
    made.close()


def live(bench: Bench) -> dict[str, Run]:
    return {found.id: found for found in bench.reopen().recover().runs}


def test_an_empty_store_has_nothing(bench: Bench) -> None:
    found = bench.recover()
    assert (found.runs, found.idempotency, found.crons, found.flow) == ([], [], [], [])
    assert bench.store.apps() == bench.store.functions() == []
    assert bench.load_events(["x"]) == []
    assert bench.load_ended("x") is None
    assert bench.recover().batches == {}


def test_every_column_of_a_run_comes_back(bench: Bench) -> None:
    sent = full_run()
    changes = Changes()
    changes.events.append(event())
    bench.commit(begin(changes, sent, job()))
    (found,) = live(bench).values()
    for name in ("id", "function_id", "app_id", "scheduled_at", "started_at", "status", "event_name",
                 "cron", "batch_id", "original_run_id"):  # fmt: skip
        assert getattr(found, name) == getattr(sent, name), name
    assert msgspec.json.encode(found.detail) == msgspec.json.encode(sent.detail)
    assert msgspec.json.encode(found.state) == msgspec.json.encode(sent.state)
    assert found.body is None


def test_a_run_that_has_not_ended_comes_back_without_any_job_too(bench: Bench) -> None:
    changes = begin(begun(), run())
    changes.jobs.clear()
    changes.events.append(event())
    changes.steps.append(("r1", 1, "s", b'"four"', span()))
    bench.commit(changes)
    (found,) = live(bench).values()
    assert (found.id, found.step_count, found.seq, list(found.open)) == ("r1", 1, 1, [])
    assert found.state_size == len(event().json) + len(b'"four"')


def test_every_field_of_a_job_and_a_pause_comes_back(bench: Bench) -> None:
    sent_job = job(
        attempt=2, kind=JobKind.SLEEP, step="s", outgoing="o", race=True, generation=4, epoch=7, name="é",
        step_queued_at=9, op="Gateway",
    )  # fmt: skip
    sent_pauses = [
        pause(no=number, kind=kind, step="s", name="n", event="e", expression="async.data.x == 1", key="k", race=True,
              trigger="t", function="f", child="c", lost="l", attempt=1)
        for number, kind in enumerate(PauseKind, 2)
    ]  # fmt: skip
    bench.commit(begin(begun(), run(), sent_job, *sent_pauses))
    (found,) = live(bench).values()
    assert [encode_row(i) for i in sorted(found.open, key=lambda i: i.no)] == [
        encode_row(i) for i in (sent_job, *sent_pauses)
    ]
    assert found.next_no == sent_pauses[-1].no


def test_a_run_without_open_items_has_ended(bench: Bench) -> None:
    bench.commit(begun("r1", "r2"))
    done = run("r1", ("e-r1",))
    done.status, done.ended_at, done.output = RunStatus.COMPLETED, T0 + 9, b'{"ok":1}'
    changes = Changes()
    changes.touch(done)
    changes.ended.append(done)
    changes.jobs["r1", 1] = None
    bench.commit(changes)
    assert list(live(bench)) == ["r2"]
    ended = bench.load_ended("r1")
    assert ended is not None
    assert (ended.function_id, ended.event_ids, ended.steps, ended.cron) == ("fn", ["e-r1"], {}, "")


def test_a_changed_run_comes_back_changed(bench: Bench) -> None:
    bench.commit(begun("r1"))
    changed = full_run("r1")
    changes = Changes()
    changes.touch(changed)
    bench.commit(changes)
    (found,) = live(bench).values()
    assert (found.status, found.started_at) == (RunStatus.RUNNING, T0 + 5)
    assert msgspec.json.encode(found.state) == msgspec.json.encode(changed.state)
    ended = bench.load_ended("r1")
    assert ended is not None
    assert ended.event_ids == ["e-r1"], "what never changes is not written again"


def test_runs_are_rendered_as_they_are_at_the_commit(bench: Bench) -> None:
    changes = begun("r1")
    changes.new_runs["r1"].state.priority = 7
    changes.touch(changes.new_runs["r1"])
    assert not changes.runs, "a run that is new is written once"
    bench.commit(changes)
    assert live(bench)["r1"].state.priority == 7


def test_of_several_changes_of_one_turn_the_last_counts(bench: Bench) -> None:
    changes = begun("r1")
    put(changes, job(no=1, attempt=1))
    put(changes, job(no=1, attempt=2))
    put(changes, pause(no=2))
    changes.pauses["r1", 2] = None
    put(changes, pause(no=3))
    bench.commit(changes)
    (found,) = live(bench).values()
    assert sorted(i.no for i in found.open) == [1, 3]
    assert found.open.get(1) == job(no=1, attempt=2)


def test_what_never_was_can_be_deleted(bench: Bench) -> None:
    changes = begun("r1")
    changes.jobs["r1", 9] = changes.pauses["nobody", 9] = None
    bench.commit(changes)
    assert len(live(bench)) == 1


def test_items_are_replaced_and_deleted_one_by_one(bench: Bench) -> None:
    bench.commit(begin(begun(), run(), job(no=1), job(no=2), pause(no=3), pause(no=4)))
    changes = Changes()
    put(changes, job(no=1, attempt=3))
    changes.jobs["r1", 2] = changes.pauses["r1", 3] = None
    bench.commit(changes)
    (found,) = live(bench).values()
    assert sorted(i.no for i in found.open) == [1, 4]
    assert found.open.get(1) == job(no=1, attempt=3)


def test_a_pause_alone_keeps_a_run_alive(bench: Bench) -> None:
    bench.commit(begin(begun(), run(), pause(no=1)))
    assert list(live(bench)) == ["r1"]


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_a_body_has_the_events_and_the_steps_in_the_order_in_which_they_were_saved(bench: Bench) -> None:
    changes = Changes()
    changes.events += [event("e2", json=b'{"n":2}'), event("e1", json=b'{"n":1}')]
    begin(changes, run("r1", ("e1", "e2")))
    changes.steps.append(("r1", 3, "zz", b'{"data":1}', span()))
    changes.spans.append(("r1", 4, None, span()))
    changes.steps.append(("r1", 5, "aa", b"null", span()))
    bench.commit(changes)
    later = Changes()
    later.steps.append(("r1", 6, "mm", '{"data":"é"}'.encode(), span()))
    later.spans.append(("r1", 9, b'{"error":1}', span()))
    bench.commit(later)
    (found,) = live(bench).values()
    body = bench.body("r1")
    assert body.events == [b'{"n":1}', b'{"n":2}']
    assert list(body.steps.items()) == [("zz", b'{"data":1}'), ("aa", b"null"), ("mm", '{"data":"é"}'.encode())]
    assert found.step_count == 3
    assert found.seq == 9
    assert found.state_size == sum(map(len, body.events)) + sum(map(len, body.steps.values()))
    ended = bench.load_ended("r1")
    assert ended is not None
    assert ended.steps == body.steps
    assert ended.event_ids == ["e1", "e2"]


def test_what_is_pending_is_the_group_without_its_memoised_steps(bench: Bench) -> None:
    sent = run()
    sent.state.group = ["a", "b", "c"]
    changes = begin(begun(), sent)
    changes.events.append(event())
    changes.steps.append(("r1", 1, "b", b"null", span()))
    bench.commit(changes)
    assert live(bench)["r1"].pending == {"a", "c"}


def test_a_run_without_a_group_has_nothing_pending(bench: Bench) -> None:
    bench.commit(begun("r1"))
    assert not live(bench)["r1"].pending


def test_counts_of_runs_are_kept_apart(bench: Bench) -> None:
    changes = begun("r1", "r2")
    changes.steps += [("r1", 1, "a", b"12345", span()), ("r1", 2, "b", b"1", span()), ("r2", 1, "a", b"1", span())]
    bench.commit(changes)
    found = live(bench)
    assert [(found[id].step_count, found[id].seq) for id in ("r1", "r2")] == [(2, 2), (1, 1)]
    assert found["r1"].state_size == found["r2"].state_size + 5


# --- events -----------------------------------------------------------------------------------------------------------


def test_events_come_back_by_id_in_the_order_asked_for(bench: Bench) -> None:
    changes = Changes()
    changes.events += [event("e1", external_id="mine"), event("e2", name="other/é")]
    bench.commit(changes)
    found = bench.reopen().load_events(["e2", "nobody", "e1"])
    assert found == [
        ("e2", "other/é", "e2", T0, T0 + 1, b'{"name":"go"}'),
        ("e1", "go", "mine", T0, T0 + 1, b'{"name":"go"}'),
    ]


def test_an_id_that_comes_again_is_kept_as_first_received(bench: Bench) -> None:
    for number in range(3):
        changes = Changes()
        changes.events += [
            event("e1", json=b'{"n":%d}' % (number * 2)),
            event("e1", json=b'{"n":%d}' % (number * 2 + 1)),
        ]
        bench.commit(changes)
        bench.reopen()
    assert [row[5] for row in bench.load_events(["e1"])] == [b'{"n":0}']


def test_the_size_of_a_repeated_event_counts_once(bench: Bench) -> None:
    changes = begun("r1")
    changes.events.append(event("e-r1"))
    bench.commit(changes)
    (found,) = live(bench).values()
    assert found.state_size == len(b'{"name":"go"}')


def test_a_pair_of_event_and_run_may_be_told_twice(bench: Bench) -> None:
    changes = begun("r1")
    changes.event_runs.append(("e-r1", "r1"))
    bench.commit(changes)
    assert len(live(bench)) == 1


# --- keyed records ----------------------------------------------------------------------------------------------------


def test_keys_come_back_oldest_first(bench: Bench) -> None:
    changes = Changes()
    changes.idempotency += [("b", "", 30), ("a", "", 10), ("c", "", 20)]
    bench.commit(changes)
    assert bench.reopen().recover().idempotency == [("a", 10), ("c", 20), ("b", 30)]


def test_keys_are_replaced_and_forgotten(bench: Bench) -> None:
    changes = Changes()
    changes.idempotency += [("a", "", 10), ("b", "", 20), ("c", "", 30)]
    bench.commit(changes)
    changes = Changes()
    changes.idempotency.append(("a", "", 40))
    changes.forgotten += [("b",), ("nobody",)]
    bench.commit(changes)
    assert bench.reopen().recover().idempotency == [("c", 30), ("a", 40)]


def test_a_key_that_is_forgotten_and_used_anew_in_one_turn_stays(bench: Bench) -> None:
    changes = Changes()
    changes.idempotency.append(("a", "", 10))
    bench.commit(changes)
    changes = Changes()
    changes.forgotten.append(("a",))
    changes.idempotency.append(("a", "", 20))
    bench.commit(changes)
    assert bench.reopen().recover().idempotency == [("a", 20)]


def test_the_last_tick_of_a_schedule_comes_back(bench: Bench) -> None:
    for tick in (1, 2):
        changes = Changes()
        changes.crons["fn", "* * * * *"] = tick
        changes.crons["fn", "TZ=Europe/Paris 0 9 * * *"] = tick * 10
        bench.commit(changes)
    assert sorted(bench.reopen().recover().crons) == [
        ("fn", "* * * * *", 2),
        ("fn", "TZ=Europe/Paris 0 9 * * *", 20),
    ]


def test_flow_control_records_come_back_as_json(bench: Bench) -> None:
    changes = Changes()
    changes.flow["throttle", "fn"] = 10**18 + 1
    changes.flow["pause", "fn"] = "drain"
    changes.flow["debounce", "fn"] = Defer("a", "b")
    changes.flow["gone", "fn"] = 1
    bench.commit(changes)
    changes = Changes()
    changes.flow["gone", "fn"] = None
    changes.flow["throttle", "fn"] = 10**18 + 2
    bench.commit(changes)
    found = {(kind, key): record for kind, key, record in bench.reopen().recover().flow}
    assert found == {
        ("throttle", "fn"): b"1000000000000000002",
        ("pause", "fn"): b'"drain"',
        ("debounce", "fn"): msgspec.json.encode(Defer("a", "b")),
    }


def test_events_of_a_batch_come_back_in_their_order(bench: Bench) -> None:
    changes = Changes()
    changes.flow["batch", "fn"] = 1
    changes.batched += [("b1", 2, "e2"), ("b1", 1, "e1"), ("b2", 1, "e9")]
    bench.commit(changes)
    assert bench.reopen().recover().batches == {"b1": ["e1", "e2"], "b2": ["e9"]}
    changes = Changes()
    changes.flow["batch", "fn"] = None
    changes.unbatched.append(("b1",))
    bench.commit(changes)
    assert bench.reopen().recover().batches == {"b2": ["e9"]}


# --- failure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["two runs of one id", "two places of one number", "bytes that are no text", "a surrogate"]
)
def test_a_commit_that_fails_writes_nothing(bench: Bench, what: str) -> None:
    bench.commit(begun("r1"))
    changes = begun("r2")
    put(changes, job("r1", 1, attempt=4))
    changes.idempotency.append(("k", "", 1))
    changes.crons["fn", "c"] = 1
    changes.flow["throttle", "fn"] = 1
    if what == "two runs of one id":
        begin(changes, run("r1"))
    elif what == "two places of one number":
        changes.steps += [("r2", 1, "a", b"1", span()), ("r2", 1, "b", b"1", span())]
    elif what == "bytes that are no text":
        changes.steps.append(("r2", 1, "a", b'"\xff"', span()))
    else:
        changes.events.append(event("e9", name="\ud800"))
    with pytest.raises(StoreError):
        bench.commit(changes)
    found = bench.recover()
    assert [r.id for r in found.runs] == ["r1"]
    assert found.runs[0].open.get(1) == job("r1", 1)
    assert (found.idempotency, found.crons, found.flow) == ([], [], [])
    assert bench.load_events(["e-r2", "e9"]) == []
    bench.commit(begun("r3"))
    assert sorted(live(bench)) == ["r1", "r3"]


def test_an_empty_commit_is_allowed(bench: Bench) -> None:
    assert Changes().empty
    bench.commit(Changes())
    assert bench.recover().runs == []


@pytest.mark.parametrize("kind", LASTING)
def test_the_epoch_rises_with_each_start(kind: str, tmp_path: Path) -> None:
    bench = Bench(kind, tmp_path)
    epochs = [bench.store.epoch, *(bench.reopen().store.epoch for _ in range(3))]
    bench.close()
    assert epochs == sorted(set(epochs))
    assert epochs[0] >= 1


def test_a_reload_of_the_same_start_keeps_its_epoch(bench: Bench) -> None:
    before = bench.store.epoch
    bench.recover()
    assert bench.store.epoch == before


# --- apps -------------------------------------------------------------------------------------------------------------


def an_app(id: str = "a1", **more: object) -> AppRecord:
    return AppRecord(id, "shop", "http://x", **more)  # type: ignore[arg-type]


def a_function(id: str = "f1", slug: str = "shop-f", **more: object) -> FunctionRecord:
    return FunctionRecord(id, "a1", slug, "F", 1, b'{"n":"\xc3\xa9"}', **more)  # type: ignore[arg-type]


def test_apps_and_functions_come_back_whole(bench: Bench) -> None:
    app = an_app(
        method="connect", sdk_language="py", sdk_version="v1", framework="flask", app_version="2", checksum="c",
        error="é", created_at=5, archived_at=6, discovered=True,
    )  # fmt: skip
    functions = [a_function("f2", "shop-b", created_at=1, archived_at=2), a_function("f1", "shop-a")]
    bench.save_apps([app], functions)
    store = bench.reopen().store
    assert store.apps() == [app]
    assert store.functions() == [functions[1], functions[0]], "by slug"


def test_apps_are_replaced_and_removed(bench: Bench) -> None:
    bench.save_apps([an_app("a1"), an_app("a2")], [a_function()])
    bench.save_apps([an_app("a1", error="down")], [a_function(archived_at=9)], removed=["a2", "nobody"])
    store = bench.reopen().store
    assert store.apps() == [an_app("a1", error="down")]
    assert store.functions() == [a_function(archived_at=9)]
