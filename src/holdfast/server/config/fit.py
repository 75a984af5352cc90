"""What `start` looks at beyond single options: a key that can't sign, values that go together."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.protocol.signing import check_signing_key
from holdfast.server.config.config import Config


def misfits(config: Config) -> Iterator[str]:
    """Why `start` would not start with these values. Keys that are missing are not among it."""
    if config.signing_key:
        try:
            check_signing_key(config.signing_key)
        except ValueError as error:
            yield str(error)
    if bool(config.admin_user) != bool(config.admin_password):
        yield "admin-user and admin-password go together: set both, or none"
    if config.oidc_issuer and not config.oidc_client_id:
        yield "oidc-client-id is required with oidc-issuer"
    if config.oidc_issuer and not (config.oidc_roles or config.oidc_default_role):
        yield "with oidc-issuer, say who gets which role (oidc-role, oidc-default-role): nobody could log in otherwise"
