"""Publishing to the channels of a server, and tokens for those who subscribe."""

from holdfast.sdk.realtime import get_subscription_token, get_subscription_token_sync, publish, publish_sync

__all__ = ["get_subscription_token", "get_subscription_token_sync", "publish", "publish_sync"]
