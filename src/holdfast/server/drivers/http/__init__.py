"""The HTTP client that calls user code: a thin asyncio protocol on httptools, one callback per call and no Task.

``HttpClient.post`` is the hot path (step requests); ``HttpClient.fetch`` is for everything that may take its time
(sync pings, discovery, the AI and fetch gateways). Both speak HTTP/1.1 over plain TCP or TLS, keep connections alive,
follow redirects and turn every way in which a server can fail into one ``CallFailure`` with the text that users see.
"""

from __future__ import annotations

from holdfast.server.drivers.http.answer import Answer
from holdfast.server.drivers.http.call import Call
from holdfast.server.drivers.http.client import HttpClient
from holdfast.server.drivers.http.failures import CallFailure
from holdfast.server.drivers.http.target import Target

__all__ = ["Answer", "Call", "CallFailure", "HttpClient", "Target"]
