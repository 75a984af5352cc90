"""What a realtime token allows: its claims (`protocol/realtime.md` §3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.realtime.topics import EVENT, RUN, STREAM, Topic

ISSUER: Final = "rt.inngest.com"
#: Seconds in which a client has to connect with its token; an open connection outlives it.
LIFETIME_S: Final = 60
#: A durable endpoint's client may connect as long as a stream may last (15 min), and a minute.
STREAM_LIFETIME_S: Final = 16 * 60

NOT_A_LIST: Final = "Invalid request: must provide a list of topics"


class Wanted(msgspec.Struct):
    """A topic as clients write it."""

    channel: str = ""
    name: str = ""
    kind: str = RUN
    env_id: str = ""
    run_id: str | None = None

    @property
    def topic(self) -> Topic:
        """What it matches."""
        return Topic.of(self.kind, self.channel, self.name)


class Grant(msgspec.Struct, frozen=True):
    """What the bearer of a token may do: hear of topics, or publish anything."""

    topics: tuple[Topic, ...] = ()
    publish: bool = False


class _Claims(msgspec.Struct):
    env: str
    topics: list[Wanted] | None = None
    publish: bool = False


def parse_topics(body: bytes) -> list[Wanted]:
    """Read the body of a token request. Raises ValueError with the text for the client."""
    try:
        topics = msgspec.json.decode(body, type=list[Wanted])
    except UNREADABLE as error:
        text = str(error)
        raise ValueError(NOT_A_LIST if "`$`" in text or "$" not in text else f"{NOT_A_LIST}: {text}") from None
    for place, topic in enumerate(topics):
        if topic.kind not in {RUN, EVENT}:
            raise ValueError(f'{NOT_A_LIST}: topic {place} has kind "{topic.kind}", not "run" or "event"')
        if not topic.name:  # the reference lets it pass, and nothing is ever heard
            raise ValueError(f'{NOT_A_LIST}: topic {place} has no "name"')
    return topics


def claims(topics: Iterable[Wanted], now: int, jti: str, lifetime: int = LIFETIME_S) -> dict[str, object]:
    """The claims of a subscription token, issued `now` (epoch seconds). Every topic is of this server's environment."""
    return {
        "iss": ISSUER, "sub": ACCOUNT_ID, "iat": now, "exp": now + lifetime, "jti": jti, "env": ENV_ID,
        "topics": [_listed(topic) for topic in topics], "publish": False,
    }  # fmt: skip


def _listed(topic: Wanted) -> dict[str, str]:
    listed = {"kind": topic.kind, "env_id": ENV_ID, "channel": topic.channel, "name": topic.name}
    return listed | ({"run_id": topic.run_id} if topic.run_id else {})


def run_stream(run_id: str, now: int, jti: str) -> dict[str, object]:
    """Return the claims of the token with which a durable endpoint's client follows a run (§8)."""
    return claims([Wanted(run_id, STREAM, run_id=run_id)], now, jti, STREAM_LIFETIME_S)


def grant(claimed: Mapping[str, object]) -> Grant | None:
    """Return what verified claims allow; None if they are no realtime token's of this environment."""
    try:
        found = msgspec.convert(claimed, _Claims)
    except msgspec.ValidationError:
        return None
    if found.env != ENV_ID:
        return None
    return Grant(tuple(topic.topic for topic in found.topics or ()), found.publish)
