"""Realtime: publishing to the channels of a server, and tokens for those who subscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from holdfast.sdk.middleware import drive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.sdk.client import Inngest


async def publish(client: Inngest, channel: str, topic: str, data: object) -> None:
    """Publish a message. It is no step: wrap it in `step.run`, or it repeats with each call of the run.

    Raises:
        RequestFailedError: The server refused it, or did not answer.

    """
    await _publish(client, channel, topic, data, sync=False)


def publish_sync(client: Inngest, channel: str, topic: str, data: object) -> None:
    """Publish a message without an event loop; see `publish`."""
    drive(_publish(client, channel, topic, data, sync=True))


async def get_subscription_token(client: Inngest, channel: str, topics: Sequence[str]) -> Mapping[str, Any]:
    """Return `{"channel","topics","key"}`: what a subscriber in a browser needs, and nothing more."""
    return await _token(client, channel, topics, sync=False)


def get_subscription_token_sync(client: Inngest, channel: str, topics: Sequence[str]) -> Mapping[str, Any]:
    """Return what a subscriber needs, without an event loop; see `get_subscription_token`."""
    return drive(_token(client, channel, topics, sync=True))


async def _publish(client: Inngest, channel: str, topic: str, data: object, *, sync: bool) -> None:
    query = urlencode({"channel": channel, "topic": topic})
    await client.api("POST", f"/v1/realtime/publish?{query}", data, sync=sync)


async def _token(client: Inngest, channel: str, topics: Sequence[str], *, sync: bool) -> Mapping[str, Any]:
    wanted = [{"channel": channel, "name": topic, "kind": "run"} for topic in topics]
    answer = await client.api("POST", "/v1/realtime/token", wanted, sync=sync)
    key = msgspec.json.decode(answer, type=dict[str, Any])["jwt"]
    return {"channel": channel, "topics": list(topics), "key": key}
