"""Which path wants what of whom, in `start`: one table (`protocol/http-apis.md` §14, docs/adr/0006-access.md).

The first rule that fits counts; a rule holds for its path and all below it, `*` stands for one segment. What no rule
names wants a login: a new route is closed until somebody decides otherwise.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from holdfast.protocol.limits import MAX_BODY, MAX_UNKNOWN_BODY
from holdfast.server.access.principals import Role


class Who(Enum):
    """Who is let in, and how a refusal is told."""

    OPEN = auto()  # everybody
    OWN = auto()  # the route has a credential of its own and looks at it itself
    MACHINE = auto()  # the signing key; also a token or a login. Refused as SDKs expect it
    INVOKE = auto()  # as MACHINE, and event keys
    CONSOLE = auto()  # a login, a token or the signing key


class Rule(msgspec.Struct, frozen=True):
    """What a path wants: `read` of a role for GET and HEAD, `write` for the rest."""

    path: str
    who: Who
    read: Role = Role.VIEWER
    write: Role = Role.OPERATOR
    audit: str = ""  # the action's name, where no command behind the route is audited
    often: bool = False  # what apps do all the time is audited only of people and their tokens
    open_in_dev: bool = False  # of `OWN`: there it wants no credential, so that other sites' pages are refused

    @property
    def takes_pages(self) -> bool:
        """Whether `dev` takes requests of any page: the path tells nothing, or wants a credential there, too."""
        return self.who is Who.OPEN or (self.who is Who.OWN and not self.open_in_dev)


RULES: Final = (
    # Probes, and the way in
    Rule("/health", Who.OPEN),
    Rule("/ready", Who.OPEN),
    Rule("/login", Who.OPEN),
    Rule("/logout", Who.OPEN),
    Rule("/favicon.ico", Who.OPEN),
    Rule("/assets", Who.OPEN),  # the UI's scripts and styles: the same everywhere, and nobody's data
    # What the API looks like is no secret
    Rule("/openapi.json", Who.OPEN),
    Rule("/docs/api", Who.OPEN),
    Rule("/v2/operations", Who.OPEN),
    Rule("/api/v2/operations", Who.OPEN),
    # Credentials of their own: event key, webhook's key, run's token, realtime token
    Rule("/e", Who.OWN, open_in_dev=True),
    Rule("/webhooks", Who.OWN),
    Rule("/v1/checkpoint/*/output", Who.OWN),
    Rule("/v1/http/runs/*/output", Who.OWN),
    Rule("/v1/realtime/connect", Who.OWN),
    Rule("/v1/realtime/sse", Who.OWN),
    Rule("/v1/realtime/publish", Who.OWN, open_in_dev=True),
    # Apps and scripts
    Rule("/invoke", Who.INVOKE, audit="function.invoked"),
    Rule("/fn", Who.MACHINE, Role.ADMIN, Role.ADMIN),
    Rule("/v0/runs", Who.MACHINE),
    Rule("/v0/telemetry", Who.MACHINE),
    Rule("/v0/connect/envs", Who.MACHINE),
    Rule("/v0/connect", Who.MACHINE, Role.ADMIN, Role.ADMIN),  # workers register functions
    Rule("/v1/realtime/token", Who.MACHINE),
    *(
        # What apps do with the signing key: a run begun or a step reported here makes the server call, and sign
        Rule(prefix, Who.MACHINE, Role.ADMIN, Role.ADMIN, audit="run.reported", often=True)
        for prefix in ("/v1/checkpoint", "/v1/http/runs")
    ),
    Rule("/v1", Who.MACHINE),
    *(
        rule
        for prefix in ("/v2", "/api/v2")
        for rule in (
            Rule(f"{prefix}/keys", Who.MACHINE, Role.ADMIN, Role.ADMIN),
            Rule(f"{prefix}/env/webhooks", Who.MACHINE, Role.ADMIN, Role.ADMIN),  # their URLs are secrets
            Rule(prefix, Who.MACHINE),
        )
    ),
    Rule("/dev/traces", Who.MACHINE),
    Rule("/dev", Who.MACHINE),
    # People, and tools of theirs. Commands are checked once more where they are carried out (`commands`)
    Rule("/v0/access/me", Who.CONSOLE, Role.VIEWER, Role.VIEWER),
    Rule("/v0/access", Who.CONSOLE, Role.ADMIN, Role.ADMIN),
    Rule("/v0", Who.CONSOLE, Role.VIEWER, Role.VIEWER),
    Rule("/mcp", Who.CONSOLE, Role.VIEWER, Role.VIEWER),
    Rule("/metrics", Who.CONSOLE, Role.VIEWER, Role.ADMIN),
    Rule("/debug", Who.CONSOLE, Role.ADMIN, Role.ADMIN),
    Rule("/test", Who.CONSOLE, Role.ADMIN, Role.ADMIN),
    Rule("/", Who.CONSOLE, Role.VIEWER, Role.ADMIN),  # the last one: all that is left
)


def rule_of(path: str) -> Rule:
    """Return the rule that counts for a path."""
    segments = _segments(path)
    for pattern, rule in _BY_FIRST.get(segments[0] if segments else "", ()):
        if _fits(pattern, segments):
            return rule
    return RULES[-1]


def most_body(path: str) -> int:
    """Return the largest body in bytes that a path takes. Where nobody is asked who they are, it is a small one."""
    return MAX_UNKNOWN_BODY if rule_of(path).who is Who.OPEN else MAX_BODY


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _fits(pattern: list[str], segments: list[str]) -> bool:
    return len(segments) >= len(pattern) and all(p in {"*", s} for p, s in zip(pattern, segments, strict=False))


def _by_first() -> dict[str, list[tuple[list[str], Rule]]]:
    """Return the rules by their first segment, which is never `*`: a path is compared with few of them."""
    found: dict[str, list[tuple[list[str], Rule]]] = {}
    for rule in RULES[:-1]:
        segments = _segments(rule.path)
        found.setdefault(segments[0], []).append((segments, rule))
    return found


_BY_FIRST: Final = _by_first()
