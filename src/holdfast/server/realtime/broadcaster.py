"""From publishers to subscribers (`protocol/realtime.md` §7): one process, one event loop, nothing waits for anybody.

Publishing appends to the queue of each subscriber and returns. A subscriber whose queue is full is dropped, and told
why; nobody else notices. Subscribers are woken by turns, a bounded amount of work in each turn of the event loop, so
that a message to thousands doesn't stand in the way of a step. Nothing here knows what the bytes mean: whoever shall
follow something else of the server subscribes to a topic of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from holdfast.server.realtime import messages
from holdfast.server.realtime.topics import Topic

#: What may wait for one subscriber: a whole data stream of 1 MB fits.
BACKLOG: Final = 4_096  # items
BACKLOG_BYTES: Final = 4 * 1024 * 1024
#: Subscribers of one topic.
FAN_OUT: Final = 5_000
#: Items that a subscriber takes at once, and that all of them take in one turn of the event loop.
BATCH: Final = 64
TURN: Final = 128

_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013  # of RFC 6455 and its registry


class Item(NamedTuple):
    """What is delivered: an envelope, or `raw` bytes that are passed on as they are."""

    data: bytes
    raw: bool = False


class End(NamedTuple):
    """Why a subscription ended: a WebSocket close code, and a sentence."""

    code: int
    reason: str


class RefusedError(Exception):
    """There can be no such subscription now; the text says why."""


class Subscription:
    """One connected client: what waits for it, and, once it `ended`, why. `on_drop` is told if it is too slow."""

    __slots__ = ("_broadcaster", "_due", "_items", "_size", "_turn", "ended", "on_drop", "topics")

    def __init__(self, broadcaster: Broadcaster) -> None:
        self.topics: set[Topic] = set()
        self.ended: End | None = None
        self.on_drop: Callable[[], object] = bool
        self._broadcaster = broadcaster
        self._items: deque[Item] = deque()
        self._size = 0
        self._due = False
        self._turn: asyncio.Future[None] | None = None

    async def take(self) -> list[Item]:
        """Wait for something to deliver; at most `BATCH` items, in order. None at all: the subscription has ended."""
        self._turn = asyncio.get_running_loop().create_future()
        if self._items or self.ended:
            self._broadcaster.due(self)
        await self._turn
        items = [self._items.popleft() for _ in range(self.ready)]
        self._size -= sum(len(item.data) for item in items)
        return items

    @property
    def ready(self) -> int:
        """How many items the next turn would take."""
        return min(len(self._items), BATCH)

    @property
    def full(self) -> bool:
        """More waits than may."""
        return len(self._items) > BACKLOG or self._size > BACKLOG_BYTES

    def put(self, item: Item) -> None:
        """Let an item wait."""
        self._items.append(item)
        self._size += len(item.data)
        self._broadcaster.due(self)

    def end(self, end: End, *, drop: bool = False) -> None:
        """End it, after what waits, or instead of it."""
        self.ended = end
        if drop:
            self._items.clear()
            self._size = 0
            self.on_drop()
        self._broadcaster.due(self)

    def queue(self) -> bool:
        """Return whether it has to be lined up: it waits for a turn, and is not in the line yet."""
        if self._due or self._turn is None or self._turn.done():
            return False
        self._due = True
        return True

    def wake(self) -> None:
        """It is its turn."""
        self._due = False
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)


class Broadcaster:
    """Topics, and who listens to them."""

    def __init__(self) -> None:
        self._topics: dict[Topic, dict[Subscription, None]] = {}
        self._all: set[Subscription] = set()
        self._line: deque[Subscription] = deque()
        self._turning = False
        self._closed = False

    @property
    def subscribers(self) -> int:
        """How many are connected."""
        return len(self._all)

    def wanted(self, topic: Topic) -> bool:
        """Return whether anybody listens, for publishers who would have to make what they publish."""
        return topic in self._topics

    def subscribe(self, topics: Iterable[Topic]) -> Subscription:
        """Return a new subscription: what is published from now on is delivered. Raises RefusedError."""
        if self._closed:
            raise RefusedError("the server is shutting down; reconnect")
        subscription = Subscription(self)
        self.add(subscription, topics)
        self._all.add(subscription)
        return subscription

    def add(self, subscription: Subscription, topics: Iterable[Topic]) -> None:
        """More topics for a subscription; all or, with RefusedError, none of them."""
        new = [topic for topic in set(topics) if topic not in subscription.topics]
        if subscription.ended:
            return
        for topic in new:
            if len(self._topics.get(topic, ())) >= FAN_OUT:
                raise RefusedError(f"topic {topic.name!r} of channel {topic.channel!r} has {FAN_OUT} subscribers")
        for topic in new:
            self._topics.setdefault(topic, {})[subscription] = None
            subscription.topics.add(topic)

    def remove(self, subscription: Subscription, topics: Iterable[Topic]) -> None:
        """Fewer topics for a subscription."""
        for topic in list(topics):
            if topic not in subscription.topics:
                continue
            subscription.topics.discard(topic)
            listeners = self._topics[topic]
            del listeners[subscription]
            if not listeners:
                del self._topics[topic]

    def leave(self, subscription: Subscription) -> None:
        """The client is gone."""
        self._all.discard(subscription)
        self.remove(subscription, subscription.topics)

    def publish(self, topic: Topic, data: bytes, *, raw: bool = False) -> None:
        """Deliver to all who listen at this moment; never waits, never fails."""
        listeners = self._topics.get(topic)
        if listeners is None:
            return
        item, slow = Item(data, raw), list[Subscription]()
        for subscription in listeners:
            subscription.put(item)
            if subscription.full:
                slow.append(subscription)
        for subscription in slow:
            self.leave(subscription)
            subscription.end(_SLOW, drop=True)

    def close(self) -> None:
        """Tells all subscribers that the server is going away and lets none in any more."""
        self._closed = True
        last = Item(messages.closing())
        for subscription in list(self._all):
            self.leave(subscription)
            subscription.put(last)
            subscription.end(_CLOSED)

    # --- turns ------------------------------------------------------------------------------------------------------

    def due(self, subscription: Subscription) -> None:
        """Lines up a subscription that has something to do."""
        if not subscription.queue():
            return
        self._line.append(subscription)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        items = 0
        while self._line and items < TURN:
            subscription = self._line.popleft()
            items += max(subscription.ready, 1)
            subscription.wake()
        if self._line:
            asyncio.get_running_loop().call_soon(self._next_turn)
        else:
            self._turning = False


_SLOW = End(
    _TRY_AGAIN_LATER,
    f"too slow: more than {BACKLOG} messages or {BACKLOG_BYTES // 1024 // 1024} MiB were waiting; reconnect",
)
_CLOSED = End(_GOING_AWAY, "the server is shutting down; reconnect")
