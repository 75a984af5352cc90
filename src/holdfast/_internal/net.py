"""Signatures, URLs and headers. Errors are returned, not raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.protocol import signing
from holdfast.sdk import env, signatures
from holdfast.sdk.consts import OFFICIAL, HeaderKey, ServerKind
from holdfast.sdk.env import create_serve_url
from holdfast.sdk.errors import SigVerificationFailedError
from holdfast.sdk.signatures import sign_request, sign_response
from holdfast.sdk.timings import ServerTimings
from holdfast.sdk.transport import headers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.sdk.consts import Framework

__all__ = [
    "ServerTimings", "create_headers", "create_serve_url", "normalize_headers", "parse_url", "sign_request",
    "sign_response", "validate_request_sig", "validate_response_sig",
]  # fmt: skip


def create_headers(*, env: str | None, framework: Framework | None, server_kind: ServerKind | None) -> dict[str, str]:
    """Return the headers that all requests and answers carry."""
    return headers_of(OFFICIAL, env, framework and framework.value, server_kind and server_kind.value)


def normalize_headers(headers: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Bring names into lower case, and take the first of repeated values."""
    return {name.lower(): value[0] if isinstance(value, list) else value for name, value in headers.items()}


def parse_url(url: str, mode: ServerKind) -> str | Exception:
    """Return a URL with a scheme."""
    try:
        return env.parse_url(url, mode)
    except Exception as error:  # noqa: BLE001 - the error is the answer
        return error


def validate_request_sig(
    *, body: bytes, headers: Mapping[str, str], mode: ServerKind, signing_key: str | None,
    signing_key_fallback: str | None,
) -> str | Exception | None:  # fmt: skip
    """Return the key that a request was signed with."""
    keys = [key for key in (signing_key, signing_key_fallback) if key is not None]
    try:
        return signatures.find_key(body, headers, mode, keys)
    except Exception as error:  # noqa: BLE001 - the error is the answer
        return error


def validate_response_sig(
    *, body: bytes, headers: Mapping[str, str], mode: ServerKind, signing_key: str
) -> str | Exception | None:
    """Return the key that an answer was signed with."""
    if mode is ServerKind.DEV_SERVER:
        return None
    header = headers.get(HeaderKey.SIGNATURE.value, "")
    return signing_key if signing.verify(signing_key, body, header) else SigVerificationFailedError()
