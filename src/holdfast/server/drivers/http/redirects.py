"""Following redirects: which answers are one, where they lead and what is sent there.

Body, original headers and original query go along on every hop; 307 and 308 keep the method, 301 to 303 make a GET of
everything but GET and HEAD. Source: ``protocol/execution.md §2.8``. Credentials stay with the host that they were
meant for: none follows to another one, nor from https to http.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from holdfast.server.drivers.http import failures
from holdfast.server.drivers.http.target import Target

if TYPE_CHECKING:
    from holdfast.server.drivers.http.answer import Answer
    from holdfast.server.drivers.http.call import Call

MAX_HOPS: Final = 60

_KEEP_METHOD: Final = frozenset({307, 308})
_REDIRECTS: Final = frozenset({301, 302, 303}) | _KEEP_METHOD
#: Header lines and query parameters that carry a credential, by their names. Not the signature of a call: it proves a
#: body that the other host gets anyway, and nothing else.
_SECRET_LINE: Final = re.compile(
    rb"(?im)^(?:[\w-]*authorization|cookie2?|[\w-]*api-?key|[\w-]*-(?:key|token|secret|password))[ \t]*:.*\r\n"
)
_SECRET_PARAMETER: Final = re.compile(r"(?i)(?:[\w-]*api[_-]?key|key|[\w-]*token|[\w-]*secret|password|sig)")


def location(answer: Answer) -> str | None:
    """Return where ``answer`` redirects to (absolute or relative), or None if it is no redirect."""
    return answer.headers.get("location") or None if answer.status in _REDIRECTS else None


def advance(call: Call, status: int, where: str) -> None:
    """Point ``call`` at its next hop.

    Raises:
        CallFailure: ``where`` is no http(s) URL.

    """
    before = call.target
    call.target = follow(before, where)
    call.method = method_after(status, call.method)
    if _leaves(before, call.target):
        call.headers = _SECRET_LINE.sub(b"", call.headers)
    if call.target.secure or not before.secure:
        referer = _referer(before) if _leaves(before, call.target) else before.url
        call.headers = _without_referer(call.headers) + b"Referer: " + referer.encode("ascii") + b"\r\n"


def method_after(status: int, method: bytes) -> bytes:
    """Choose the method of the next hop."""
    return method if status in _KEEP_METHOD or method in (b"GET", b"HEAD") else b"GET"


def follow(target: Target, where: str) -> Target:
    """Resolve the next hop's target.

    Raises:
        CallFailure: ``where`` is no http(s) URL.

    """
    try:
        after = Target.parse(urljoin(target.url, where))
    except ValueError:
        raise failures.other(f"invalid redirect to {where!r}") from None
    original = urlsplit(target.url).query
    query = _merged(_without_secrets(original) if _leaves(target, after) else original, urlsplit(after.url).query)
    return Target.parse(urlsplit(after.url)._replace(query=query).geturl())


def _leaves(before: Target, after: Target) -> bool:
    """Return whether a hop leads to another host, or gives up TLS."""
    return before.host != after.host or before.secure > after.secure


def _referer(before: Target) -> str:
    parts = urlsplit(before.url)
    return parts._replace(query=_without_secrets(parts.query)).geturl()


def _without_secrets(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _SECRET_PARAMETER.fullmatch(name)]
    return query if len(kept) == len(pairs) else urlencode(kept)


def _without_referer(lines: bytes) -> bytes:
    return b"".join(line for line in lines.splitlines(keepends=True) if not line.lower().startswith(b"referer:"))


def _merged(original: str, own: str) -> str:
    """Set the original query's parameters over those that the Location has itself."""
    if not original or original == own:
        return own
    kept = parse_qsl(original, keep_blank_values=True)
    names = {name for name, _ in kept}
    added = [(name, value) for name, value in parse_qsl(own, keep_blank_values=True) if name not in names]
    return f"{original}&{urlencode(added)}" if added else original
