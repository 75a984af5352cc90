"""What a subscriber listens to and a publisher speaks to (`protocol/realtime.md` §1, §3)."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

#: Topic of a channel's raw bytes: what durable endpoints stream to their clients.
STREAM: Final = "$stream"
RUN: Final = "run"
EVENT: Final = "event"


class Topic(NamedTuple):
    """A name inside a channel, matched exactly. Both are free text; a run's own channel is its id."""

    channel: str
    name: str
    kind: str = RUN

    @classmethod
    def of(cls, kind: str, channel: str, name: str) -> Self:
        """Return the topic that clients mean: all kinds but `run` have no channels."""
        return cls(channel, name) if kind == RUN else cls("", name, EVENT)
