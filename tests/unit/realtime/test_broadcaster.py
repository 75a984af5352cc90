"""Delivery: to whom, in which order, how much at once, and what becomes of the slow."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.server.realtime import broadcaster as module
from holdfast.server.realtime.broadcaster import BACKLOG, BATCH, Broadcaster, Item, RefusedError, Subscription
from holdfast.server.realtime.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A, B = Topic("channel", "a"), Topic("channel", "b")


def run(test: Callable[[Broadcaster], Awaitable[None]]) -> None:
    async def body() -> None:
        await test(Broadcaster())

    asyncio.run(body())


async def taken(subscription: Subscription) -> list[bytes]:
    async with asyncio.timeout(5):
        return [item.data for item in await subscription.take()]


def test_what_is_published_arrives_in_order_at_all_who_listen() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        one, two, other = (broadcaster.subscribe(topics) for topics in ([A], [A, B], [B]))
        broadcaster.publish(A, b"1")
        broadcaster.publish(B, b"2", raw=True)
        broadcaster.publish(A, b"3")
        assert await taken(one) == [b"1", b"3"]
        assert await two.take() == [Item(b"1"), Item(b"2", raw=True), Item(b"3")]
        assert await taken(other) == [b"2"]

    run(test)


def test_what_was_published_before_is_lost() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        broadcaster.publish(A, b"early")
        subscription = broadcaster.subscribe([A])
        broadcaster.publish(A, b"late")
        assert await taken(subscription) == [b"late"]

    run(test)


def test_a_waiting_subscriber_is_woken() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        subscription = broadcaster.subscribe([A])
        taking = asyncio.ensure_future(taken(subscription))
        await asyncio.sleep(0)
        broadcaster.publish(A, b"1")
        assert await taking == [b"1"]

    run(test)


def test_giving_up_waiting_loses_nothing() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        subscription = broadcaster.subscribe([A])
        for n in range(20):
            taking = asyncio.ensure_future(subscription.take())
            for _ in range(n % 4):
                await asyncio.sleep(0)
            broadcaster.publish(A, b"%d" % n)
            taking.cancel()
            got = await asyncio.gather(taking, return_exceptions=True)
            items = got[0] if isinstance(got[0], list) else await subscription.take()
            assert [item.data for item in items] == [b"%d" % n]

    run(test)


def test_the_same_topic_twice_is_delivered_once() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        subscription = broadcaster.subscribe([A, A])
        broadcaster.add(subscription, [A])
        broadcaster.publish(A, b"1")
        assert await taken(subscription) == [b"1"]

    run(test)


def test_topics_are_forgotten_with_their_last_subscriber() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        one, two = broadcaster.subscribe([A, B]), broadcaster.subscribe([A])
        broadcaster.remove(one, [A, Topic("channel", "never")])
        assert broadcaster.wanted(A)
        assert broadcaster.subscribers == 2
        broadcaster.leave(two)
        assert not broadcaster.wanted(A)
        assert broadcaster.wanted(B)
        broadcaster.leave(one)
        broadcaster.leave(one)
        assert not broadcaster.wanted(B)
        assert broadcaster.subscribers == 0

    run(test)


def test_kinds_other_than_run_have_no_channels() -> None:
    assert Topic.of("run", "c", "n") == Topic("c", "n") != Topic.of("event", "c", "n")
    assert Topic.of("event", "c", "n") == Topic.of("event", "d", "n")


def test_a_slow_subscriber_is_dropped_and_told_why() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        slow, quick, dropped = broadcaster.subscribe([A]), broadcaster.subscribe([A]), list[int]()
        slow.on_drop = lambda: dropped.append(1)
        got = 0
        for n in range(BACKLOG + 1):
            broadcaster.publish(A, b"%d" % n)
            if n % BATCH == BATCH - 1:
                got += len(await taken(quick))
        assert got == BACKLOG
        assert dropped == [1]
        assert slow.ended is not None
        assert slow.ended.code == 1013
        assert str(BACKLOG) in slow.ended.reason
        assert await taken(slow) == [], "nothing of what waited"
        assert quick.ended is None
        assert broadcaster.subscribers == 1

    run(test)


def test_the_bound_counts_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKLOG_BYTES", 100)

    async def test(broadcaster: Broadcaster) -> None:
        subscription = broadcaster.subscribe([A])
        broadcaster.publish(A, b"x" * 100)
        assert len(await taken(subscription)) == 1
        broadcaster.publish(A, b"x" * 60)
        broadcaster.publish(A, b"x" * 41)
        assert subscription.ended is not None

    run(test)


def test_one_turn_of_the_loop_serves_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN", 10)

    async def test(broadcaster: Broadcaster) -> None:
        served: list[int] = []

        async def follow(n: int, subscription: Subscription) -> None:
            await subscription.take()
            served.append(n)

        followers = [asyncio.ensure_future(follow(n, broadcaster.subscribe([A]))) for n in range(95)]
        await asyncio.sleep(0)
        broadcaster.publish(A, b"1")
        seen: list[int] = []
        while len(served) < 95:
            seen.append(len(served))
            await asyncio.sleep(0)
        steps = [later - before for before, later in itertools.pairwise(seen)]
        assert max(steps) <= 10, "others get their turns between"
        assert served == sorted(served)
        await asyncio.gather(*followers)

    run(test)


def test_a_topic_has_a_bounded_number_of_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAN_OUT", 2)

    async def test(broadcaster: Broadcaster) -> None:
        broadcaster.subscribe([A])
        second = broadcaster.subscribe([A])
        with pytest.raises(RefusedError, match="'a' of channel 'channel' has 2 subscribers"):
            broadcaster.subscribe([B, A])
        assert not broadcaster.wanted(B), "all topics or none"
        broadcaster.add(second, [A, B])  # has the one already
        broadcaster.leave(second)
        broadcaster.subscribe([A])

    run(test)


def test_the_end_of_the_server() -> None:
    async def test(broadcaster: Broadcaster) -> None:
        subscription = broadcaster.subscribe([A])
        broadcaster.publish(A, b"1")
        broadcaster.close()
        first, last = await taken(subscription)
        assert first == b"1"
        message: dict[str, Any] = msgspec.json.decode(last)
        assert (message["kind"], message["data"], message["topic"]) == ("closing", "", "")
        assert "channel" not in message
        assert await taken(subscription) == []
        assert subscription.ended is not None
        assert subscription.ended.code == 1001
        with pytest.raises(RefusedError, match="shutting down"):
            broadcaster.subscribe([A])
        broadcaster.publish(A, b"2")
        broadcaster.close()

    run(test)
