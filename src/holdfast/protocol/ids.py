"""Identifiers: ULIDs, name-based UUIDs, step hashes, xxHash texts (`protocol/execution.md` §1.6, §3.5, §4.1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from typing import TYPE_CHECKING, Final

import xxhash

from holdfast.protocol.limits import ENV_ID

if TYPE_CHECKING:
    from collections.abc import Callable

ULID_LENGTH: Final = 26
ENTROPY_BITS: Final = 80
MAX_ULID_MS: Final = 2**48 - 1

_ENTROPY_BYTES: Final = ENTROPY_BITS // 8
_MAX_ENTROPY: Final = 2**ENTROPY_BITS - 1
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_VALUES: Final = {char: value for value, digit in enumerate(_CROCKFORD) for char in (digit, digit.lower())}
# 26 digits of five bits are two bits more than a ULID has.
_FIRST_DIGITS: Final = frozenset("01234567")
_DIGITS: Final = frozenset(_VALUES)
_LONG: Final = 200
_OID: Final = uuid.NAMESPACE_OID.bytes
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS36: Final = tuple(high + low for high in _BASE36 for low in _BASE36)


def ulid(ms: int, entropy: int) -> str:
    """Write the ULID of a time (milliseconds, 48 bits) and 80 bits of entropy."""
    pairs = _PAIRS
    value = ms << 80 | entropy
    low = value & 0xFFFFFFFFFFFFFFF
    high = value >> 60
    return (
        f"{pairs[high >> 60]}{pairs[high >> 50 & 1023]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}"
        f"{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}{pairs[low >> 50]}"
        f"{pairs[low >> 40 & 1023]}{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )


def is_ulid(text: str) -> bool:
    """Return whether a text is a ULID: 26 Crockford digits in any case, no more than 128 bits."""
    return len(text) == ULID_LENGTH and text[0] in _FIRST_DIGITS and _DIGITS.issuperset(text)


def parse_ulid(text: str) -> bytes:
    """Read a ULID into its 16 bytes; ValueError if it is none."""
    if not is_ulid(text):
        raise ValueError(f"not a ULID: {text}")
    return _number(text).to_bytes(16, "big")


def ulid_time(text: str) -> int:
    """Milliseconds since the epoch of a ULID's first ten digits; ValueError if it is none."""
    if not is_ulid(text):
        raise ValueError(f"not a ULID: {text}")
    return _number(text[:10])


class UlidSource:
    """ULIDs that rise strictly, even within one millisecond or when the clock steps back.

    `random_bits` answers that many random bits, e.g. `random.getrandbits`.
    """

    __slots__ = ("_entropy", "_head", "_last_ms", "_random_bits", "_until")

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits
        self._last_ms = -1
        self._entropy = 0
        self._head = ""  # all but the last four digits of the newest one
        self._until = 0  # the entropy from which on they are others

    def next(self, ms: int) -> str:
        """Return the next ULID at a time in milliseconds."""
        if ms > self._last_ms:
            return self._first(ms)
        if self._entropy == _MAX_ENTROPY:
            return self._first(self._last_ms + 1)
        self._entropy = entropy = self._entropy + 1
        if entropy == self._until:
            return self._begin(ulid(self._last_ms, entropy))
        return f"{self._head}{_PAIRS[entropy >> 10 & 1023]}{_PAIRS[entropy & 1023]}"

    def _first(self, ms: int) -> str:
        self._last_ms = ms
        self._entropy = self._random_bits(ENTROPY_BITS)
        return self._begin(ulid(ms, self._entropy))

    def _begin(self, id: str) -> str:
        """Keep what the next ids share with this one: a burst of events takes many of a millisecond."""
        self._head = id[:-4]
        self._until = (self._entropy >> 20) + 1 << 20
        return id


def seeded_ulids(seed_header: str) -> Callable[[int], str] | None:
    """Read `x-inngest-event-id-seed` (`protocol/http-apis.md` §2.3): answers the id of the n-th event, counted from 1.

    None if the header is malformed: not `<ms>,<base64 of 10 bytes>` with a positive time of 48 bits.
    """
    millis, comma, encoded = seed_header.partition(",")
    if not comma or not millis.isascii() or not millis.removeprefix("+").isdigit():
        return None
    ms = int(millis) if len(millis) <= len(str(MAX_ULID_MS)) else 0
    try:
        seed = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not 0 < ms <= MAX_ULID_MS or len(seed) != _ENTROPY_BYTES:
        return None
    head, counter = seed[:-4], int.from_bytes(seed[-4:], "big")
    return lambda number: ulid(ms, int.from_bytes(head + (counter + number & 0xFFFFFFFF).to_bytes(4, "big"), "big"))


def step_hash(step_id: str, index: int = 0) -> str:
    """Hash a step's user id with SHA-1, from the first repetition on with `:<index>` behind it."""
    return hashlib.sha1(f"{step_id}:{index}".encode() if index else step_id.encode()).hexdigest()


def oid_uuid(name: str) -> str:
    """Return the version 5 UUID of a name in the OID namespace: every deterministic UUID of the protocol."""
    return _oid_of(name.encode())


def app_id(name: str) -> str:
    """Return the UUID of a new app; `name` is the URL for a nameless placeholder."""
    return oid_uuid(name)


def function_id(name: str, url: str) -> str:
    """Return the UUID of a function whose slug is not stored yet, from its display name and its step's full URL."""
    return oid_uuid(name + url)


def endpoint_app_id(domain: str) -> str:
    """App id of durable endpoints: by environment and domain (`protocol/execution.md` §5.3)."""
    return _oid_of(uuid.UUID(ENV_ID).bytes + domain.encode())


def endpoint_function_id(app: str, slug: str) -> str:
    """Function id of a durable endpoint: by app and slug (`protocol/execution.md` §5.3)."""
    return _oid_of(uuid.UUID(app).bytes + slug.encode())


def _oid_of(name: bytes) -> str:
    # By hand, as a trace has thousands of them: `uuid.UUID` takes five times as long.
    digest = hashlib.sha1(_OID + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def xxh36(text: str) -> str:
    """Write the 64-bit xxHash of a text in base 36: job ids and group keys (`protocol/flow-control.md` §0.3)."""
    value = xxhash.xxh64_intdigest(text.encode("utf-8", "surrogatepass"))
    pairs: list[str] = []
    while value >= 1_296:  # two digits at a time
        value, pair = divmod(value, 1_296)
        pairs.append(_PAIRS36[pair])
    pairs.append(_PAIRS36[value].removeprefix("0"))
    return "".join(reversed(pairs))


def shortened(text: str) -> str:
    """Return a text, or the SHA-256 of a long one: what is remembered of a sender's text stays small."""
    if len(text) <= _LONG:
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _number(text: str) -> int:
    values = _VALUES
    number = 0
    for char in text:
        number = number << 5 | values[char]
    return number
