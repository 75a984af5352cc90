"""What an app tells of itself: little to anybody, more to who signs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from holdfast.protocol.signing import hash_signing_key
from holdfast.sdk.consts import INSPECTION_VERSION, HeaderKey, ServerKind
from holdfast.sdk.logs import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.sdk.answers import CommRequest
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.handler import CommHandler

CAPABILITIES: Final = {"connect": "v1", "in_band_sync": "v1", "trust_probe": "v1"}


def server_kind(client: Inngest, headers: Mapping[str, str]) -> ServerKind | None:
    """Return the kind of the server that asks; None if it does not say, or says something unknown."""
    value = headers.get(HeaderKey.SERVER_KIND.value)
    if value is None:
        return None
    try:
        return ServerKind(value)
    except ValueError:
        log(client.logger, "error", f"invalid server kind: {value}")
        return None


def describe(handler: CommHandler, request: CommRequest, *, signed: bool) -> dict[str, Any]:
    """Return the answer to a GET."""
    client = handler.client
    found: dict[str, Any] = {
        "schema_version": INSPECTION_VERSION,
        "function_count": len(handler.functions),
        "has_event_key": client.event_key is not None,
        "has_signing_key": client.signing_key is not None,
        "has_signing_key_fallback": client.signing_key_fallback is not None,
        "mode": client.mode.value,
    }
    return {**found, **_details(handler, request)} if signed else found


def _details(handler: CommHandler, request: CommRequest) -> dict[str, Any]:
    client = handler.client
    return {
        "api_origin": client.api_origin,
        "app_id": client.app_id,
        "authentication_succeeded": True,
        "capabilities": CAPABILITIES,
        "env": client.env,
        "event_api_origin": client.event_api_origin,
        "event_key_hash": client.event_key and hashlib.sha256(client.event_key.encode()).hexdigest(),
        "framework": handler.framework.value,
        "sdk_language": client.identity.language,
        "sdk_version": client.identity.version,
        "serve_origin": request.serve_origin,
        "serve_path": request.serve_path,
        "signing_key_fallback_hash": client.signing_key_fallback and hash_signing_key(client.signing_key_fallback),
        "signing_key_hash": client.signing_key and hash_signing_key(client.signing_key),
    }
