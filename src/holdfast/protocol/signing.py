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
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-zA-Z0-9]+")
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")


def sign(key: str, body: bytes, unix_s: int) -> str:
    """Return the value of `X-Inngest-Signature` for a body, which for requests has to be canonical JSON."""
    return f"t={unix_s}&s={_digest(key, body, str(unix_s))}"


def verify(key: str, body: bytes, header: str) -> bool:
    """Return whether a signature fits a body as it was sent; its age is not looked at."""
    match = _HEADER.fullmatch(header)
    return match is not None and hmac.compare_digest(_digest(key, body, match[1]), match[2])


def verify_answer(key: str, body: bytes, header: str) -> bool:
    """Return whether a signature fits an app's answer: Go's SDK sends a newline at the end that it does not sign."""
    return verify(key, body, header) or (body.endswith(b"\n") and verify(key, body[:-1], header))


def strip_prefix(key: str) -> str:
    """Take `signkey-<word>-` off a key or a token."""
    return _PREFIX.sub("", key, count=1) if _PREFIX.match(key) else key


def hash_signing_key(key: str) -> str:
    """Return the bearer token of a key: the hex SHA-256 of its decoded bytes, without prefix.

    Of a key that is no hex: what the TypeScript SDK makes of it; that of Python refuses it.
    """
    bare = strip_prefix(key)
    return hashlib.sha256(bytes.fromhex(bare) if is_hex(bare) else _lossy(bare)).hexdigest()


def is_hex(key: str) -> bool:
    """Return whether a key, its prefix aside, is hex of even length."""
    bare = strip_prefix(key)
    return not len(bare) % 2 and not _NOT_HEX.search(bare)


def _lossy(text: str) -> bytes:
    """Decode what is no hex as JavaScript's `hash.js` does.

    Other characters than letters and digits are dropped, a missing digit is a 0 in front. A pair counts as far as it is
    hex from its left; one that begins with another letter is 0.
    """
    kept = _NOT_ALPHANUMERIC.sub("", text)
    kept = kept if len(kept) % 2 == 0 else f"0{kept}"
    return bytes(_pair(kept[at : at + 2]) for at in range(0, len(kept), 2))


def _pair(pair: str) -> int:
    match = _HEX.match(pair)
    return int(match[0], 16) if match else 0


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
