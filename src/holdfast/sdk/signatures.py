"""Signatures of requests: which key a request was signed with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from holdfast.protocol import signing
from holdfast.protocol.canonical import canonical
from holdfast.sdk.consts import HeaderKey, ServerKind
from holdfast.sdk.errors import HeaderMissingError, SigningKeyMissingError, SigVerificationFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds that a signature may be old, or ahead of this machine's clock.
MAX_AGE_S: Final = 300
#: Longer ones are milliseconds, which some senders give.
_DIGITS_OF_SECONDS: Final = 11
_NAME: Final = HeaderKey.SIGNATURE.value


def sign_response(body: bytes, key: str) -> str:
    """Return the signature of an answer's bytes."""
    return signing.sign(key, body, round(time.time()))


def sign_request(body: bytes, key: str, unix_s: int | None = None) -> str:
    """Sign a request as a server does; for tests that stand in for one."""
    return signing.sign(key, canonical(body) if body else body, round(time.time()) if unix_s is None else unix_s)


def find_key(body: bytes, headers: Mapping[str, str], mode: ServerKind, keys: list[str]) -> str | None:
    """Return the key that a request was signed with; None in dev mode, where nothing is signed.

    Raise HeaderMissingError, SigningKeyMissingError or SigVerificationFailedError.
    """
    if mode is ServerKind.DEV_SERVER:
        return None
    header = headers.get(_NAME)
    if header is None:
        raise HeaderMissingError(f"cannot validate signature in production mode without a {_NAME} header")
    if not keys:
        raise SigningKeyMissingError("cannot validate signature in production mode without a signing key")
    signed = f"t={_moment(header)}&s={_first(header, 's')}"
    text = _canonical(body)
    for key in keys:
        if signing.verify(key, text, signed):
            return key
    raise SigVerificationFailedError(f"the {_NAME} header does not fit the body")


def _canonical(body: bytes) -> bytes:
    try:
        return canonical(body) if body else body
    except ValueError as error:
        raise SigVerificationFailedError(f"failed to canonicalize the body: {error}") from None


def _moment(header: str) -> str:
    text = _first(header, "t")
    if not text.isascii() or not text.isdigit():
        raise SigVerificationFailedError(f"the {_NAME} header is malformed: t is no number")
    moment = int(text) / 1000 if len(text) > _DIGITS_OF_SECONDS else int(text)
    if abs(time.time() - moment) > MAX_AGE_S:
        raise SigVerificationFailedError(
            f"the {_NAME} header is older than {MAX_AGE_S // 60} minutes; are clocks right?"
        )
    return text


def _first(header: str, name: str) -> str:
    found = parse_qs(header).get(name)
    if not found:
        raise SigVerificationFailedError(f"the {_NAME} header is malformed: {name} is missing")
    return found[0]
