"""Signatures of requests and the authorisation of API calls (`protocol/execution.md` §6, `protocol/http-apis.md` §14).

A signing key is used in two ways: as text, to sign bodies; hex-decoded and hashed, as the API's bearer token. The
prefix `signkey-<word>-` counts in neither.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

_PREFIX: Final = re.compile(r"signkey-\w+-", re.ASCII)
_HEADER: Final = re.compile(r"t=([0-9]+)&s=([0-9a-f]{64})", re.ASCII)
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")


def sign(key: str, body: bytes, unix_s: int) -> str:
    """Answer the value of `X-Inngest-Signature` for a body, which for requests has to be canonical JSON."""
    return f"t={unix_s}&s={_digest(key, body, str(unix_s))}"


def verify(key: str, body: bytes, header: str) -> bool:
    """Tell whether a signature fits a body as it was sent; its age is not looked at."""
    match = _HEADER.fullmatch(header)
    return match is not None and hmac.compare_digest(_digest(key, body, match[1]), match[2])


def verify_answer(key: str, body: bytes, header: str) -> bool:
    """Tell whether a signature fits an app's answer: Go's SDK sends a newline at the end that it does not sign."""
    return verify(key, body, header) or (body.endswith(b"\n") and verify(key, body[:-1], header))


def strip_prefix(key: str) -> str:
    """Take `signkey-<word>-` off a key or a token."""
    return _PREFIX.sub("", key, count=1) if _PREFIX.match(key) else key


def hash_signing_key(key: str) -> str:
    """Answer the bearer token of a key: the hex SHA-256 of its decoded bytes, without prefix. The key must be hex."""
    return hashlib.sha256(bytes.fromhex(strip_prefix(key))).hexdigest()


def check_signing_key(text: str) -> None:
    """Raise ValueError with the command line's text unless a key is hex of even length (`http-apis.md` §15.2)."""
    if not text:
        raise ValueError("signing-key is required")
    bare = strip_prefix(text)
    if len(bare.encode()) % 2:
        raise ValueError("signing-key must be hex string with even number of chars")
    if match := _NOT_HEX.search(bare):
        char = match[0].encode().decode("latin-1")[0]
        shown = f"U+{ord(char):04X} {char!r}"
        raise ValueError(f"signing-key must be valid hex string: encoding/hex: invalid byte: {shown}")


def _digest(key: str, body: bytes, unix_s: str) -> str:
    return hmac.digest(strip_prefix(key).encode(), body + unix_s.encode(), "sha256").hex()
