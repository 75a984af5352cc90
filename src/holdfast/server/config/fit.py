"""What `start` looks at beyond single options: a key that can't sign, values that go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.protocol.signing import check_signing_key
from holdfast.server.config.config import Config

#: Hosts that only this machine can reach.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
WEAK_KEY: Final = (
    "the signing key is not hex: accepted only because no other machine can reach the server. SDKs for TypeScript and "
    "JavaScript can use it, others (Python, Go) refuse it; generate a real one with `openssl rand -hex 32`"
)


def on_loopback(config: Config) -> bool:
    """Return whether only this machine can reach a server."""
    return config.host in LOOPBACK


def misfits(config: Config) -> Iterator[str]:
    """Yield why `start` would not start with these values. Keys that are missing are not among it."""
    if config.signing_key and not on_loopback(config):
        try:
            check_signing_key(config.signing_key)
        except ValueError as error:
            yield f"{error}; generate one with `openssl rand -hex 32`"
    if bool(config.admin_user) != bool(config.admin_password):
        yield "admin-user and admin-password go together: set both, or none"
    if config.oidc_issuer and not config.oidc_client_id:
        yield "oidc-client-id is required with oidc-issuer"
    if config.oidc_issuer and not (config.oidc_roles or config.oidc_default_role):
        yield "oidc-issuer needs oidc-role or oidc-default-role: without them nobody could log in"
