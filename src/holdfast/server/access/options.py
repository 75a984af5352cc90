"""What access can be told; the configuration's part of it."""

from __future__ import annotations

import msgspec

_HOUR_MS = 3_600_000


class OidcOptions(msgspec.Struct, frozen=True):
    """An identity provider (OpenID Connect), if `issuer` is not empty."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    scopes: str = "openid profile email"
    role_claim: str = "groups"
    roles: tuple[str, ...] = ()  # `<role>=<value of the claim>`
    default_role: str = ""  # of those whom no value fits; empty: they are not let in
    domains: tuple[str, ...] = ()  # of e-mail addresses; empty: any


class Options(msgspec.Struct, frozen=True):
    """Sessions, the first user, the identity provider."""

    session_idle_ms: int = 12 * _HOUR_MS
    session_most_ms: int = 7 * 24 * _HOUR_MS
    admin_user: str = ""
    admin_password: str = ""
    hosts: tuple[str, ...] = ()  # names by which browsers may reach `dev`, beside the usual ones
    oidc: OidcOptions = OidcOptions()
