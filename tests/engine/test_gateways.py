"""Steps whose HTTP exchange the server makes: execution.md §4.10."""

from __future__ import annotations

import json

import pytest

from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus, SpanStatus

from .replies import fetch, hashed, op, ops, planned, ran, returns
from .world import HOUR, MINUTE, World, function

NO = {"name": "GatewayError", "message": "no"}


def test_an_exchange_runs_within_its_call(world: World) -> None:
    run = world.start()
    call = world.reply(ops(fetch("f")))
    exchange = world.exchange()
    assert exchange.job.no == call.job.no
    assert exchange.op.id == hashed("f")
    assert run.leased == 1
    assert world.exchanged(exchange, {"status_code": 200})
    assert world.step(run, "f") == {"data": {"status_code": 200}}
    assert world.call().job.outgoing == hashed("f")
    assert world.exchanged(exchange, 2) is False


@pytest.mark.parametrize("code", ["Gateway", "AIGateway"])
def test_both_gateways_record_what_they_did(world: World, code: str) -> None:
    run = world.start()
    world.reply(ops(op(code, "f", opts={"url": "http://x", "body": {"n": 1}})))
    world.exchanged(world.exchange(), 1)
    span = world.history(run)[-1]
    assert (span.op, span.status, span.step_id) == (code, SpanStatus.COMPLETED, hashed("f"))
    assert (b'"n"' in bytes(span.input)) is (code == "AIGateway")


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://user:pw@h:8/v1/x?key=secret#f", "https://h:8/v1/x"), ("http://[bad", "")],
)
def test_where_an_inference_went_is_kept_without_its_secrets(world: World, url: str, shown: str) -> None:
    run = world.start()
    opts = {"url": url, "format": "openai-chat", "auth_key": "sk", "body": {"model": "m"}}
    world.reply(ops(op("AIGateway", "g", opts=opts)))
    world.exchanged(world.exchange(), {"id": 1})
    info = world.history(run)[-1].info
    assert info == {"format": "openai-chat", "url": shown, "size": len(json.dumps({"model": "m"}))}


def test_a_failed_exchange_asks_the_app_again_and_at_last_gives_the_error() -> None:
    world = World(function(retries=1))
    run = world.start()
    world.reply(ops(fetch("f")))
    world.exchanged(world.exchange(), error=NO)
    assert world.memo(run) == {}
    world.advance(MINUTE)
    call = world.call()
    assert call.job.attempt == 1
    world.answer(call, ops(fetch("f")))
    world.exchanged(world.exchange(), error=NO)
    assert world.step(run, "f") == {"error": NO}
    discovery = world.call()
    assert discovery.job.kind is JobKind.EDGE_ERROR
    world.answer(discovery, returns())
    world.check_idle()


def test_exchanges_run_beside_other_steps(world: World) -> None:
    run = world.start()
    world.reply(ops(fetch("f"), planned("a"), fetch("g")))
    first, second = world.exchanges
    world.exchanges.clear()
    world.exchanged(first, 1)
    world.reply(ops(ran("a")), "a")
    assert not world.calls
    world.exchanged(second, 2)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_a_crash_repeats_an_exchange(world: World) -> None:
    run = world.start()
    world.reply(ops(fetch("f")))
    world.restart()
    call = world.call()
    world.answer(call, ops(fetch("f")))
    world.exchanged(world.exchange(), 1)
    world.reply(returns())
    assert world.output(run) is None
    world.check_idle()


def test_a_crash_repeats_exchanges_of_a_group(world: World) -> None:
    run = world.start()
    group = ops(fetch("f"), fetch("g"))
    world.reply(group)
    world.restart()
    for call in list(world.calls):
        world.calls.remove(call)
        world.load(call.run)
        world.answer(call, group)
    assert len(world.exchanges) == 2
    for exchange in list(world.exchanges):
        world.exchanges.remove(exchange)
        world.exchanged(exchange, 1)
    assert len(world.memo(run)) == 2
    world.reply(returns())
    world.check_idle()


def test_a_gateway_step_that_has_a_result_is_not_asked_for_again(world: World) -> None:
    world.start()
    world.checkpoint(world.calls[0], ran("f"))
    world.reply(ops(fetch("f")))
    assert not world.exchanges
    world.advance(150)
    assert world.call()


def test_an_exchange_of_a_cancelled_run_is_dropped(world: World) -> None:
    run = world.start()
    world.reply(ops(fetch("f")))
    exchange = world.exchange()
    world.cancel(run)
    assert world.exchanged(exchange, 1) is False
    world.advance(HOUR)
    world.check_idle()
