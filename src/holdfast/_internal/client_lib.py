"""What `client_lib` holds elsewhere."""

from holdfast.sdk.client import Inngest
from holdfast.sdk.sending import SendEventsResult

__all__ = ["Inngest", "SendEventsResult"]
