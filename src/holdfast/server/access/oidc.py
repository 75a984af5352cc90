"""Logging in with an identity provider: OpenID Connect, authorization code with PKCE (RFC 7636), state and nonce."""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol, Self, cast
from urllib.parse import quote_plus

import msgspec
import structlog

from holdfast.server.access.access import Access
from holdfast.server.access.options import OidcOptions
from holdfast.server.access.principals import Principal, Role, read_role
from holdfast.server.access.users import UserError
from holdfast.server.clock import now_ms
from holdfast.server.model.account import User

log = structlog.get_logger(__name__)

_DISCOVERY = "/.well-known/openid-configuration"
_TIMEOUT_S = 10.0
_PENDING_MS = 600_000
_MOST_PENDING = 1_000
#: Asymmetric ones only: with HMAC, whoever knows the client's secret could vouch for anybody.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"

#: What libraries raise for answers of a provider that are not what the standard says.
_ODD: Final = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


class OidcError(Exception):
    """The login can't go on; the text is for who tried."""


class Provider(msgspec.Struct, frozen=True):
    """What the identity provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)

    @property
    def takes_basic(self) -> bool:
        """Whether the client's secret may be sent in a header, which is the standard's default."""
        return _BASIC in self.token_endpoint_auth_methods_supported


class _Pending(msgspec.Struct, frozen=True):
    """A login that was begun."""

    verifier: str
    nonce: str
    callback: str
    next: str
    began_at: int


class _Client(Protocol):
    """What is needed of Authlib's client, which has no types."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def fetch_token(self, url: str, *, code: str, code_verifier: str) -> dict[str, object]: ...


class _Credentials(Protocol):
    """What Authlib hands over to who puts the client's secret into a request."""

    client_id: str
    client_secret: str


class Oidc:
    """One identity provider. What it says of itself is asked for at the first login."""

    def __init__(self, access: Access, options: OidcOptions) -> None:
        self._access = access
        self._options = options
        self._provider: Provider | None = None
        self._asking: asyncio.Future[Provider | OidcError] | None = None
        self._pending: dict[str, _Pending] = {}

    async def begin(self, callback: str, next: str) -> tuple[str, str]:
        """Where to send the browser, and the login's state, which it has to bring back. Raises OidcError."""
        provider = await self._discover()
        now = now_ms()
        self._pending = {state: p for state, p in self._pending.items() if now - p.began_at < _PENDING_MS}
        while len(self._pending) >= _MOST_PENDING:
            self._pending.pop(min(self._pending, key=lambda state: self._pending[state].began_at))
        pending = _Pending(secrets.token_urlsafe(48), secrets.token_urlsafe(24), callback, next, now)
        state = secrets.token_urlsafe(24)
        self._pending[state] = pending
        return self._authorization(provider, pending, state), state

    def _authorization(self, provider: Provider, pending: _Pending, state: str) -> str:
        """Where the browser goes. Without a client: making one costs 40 ms, and any stranger can begin a login."""
        from authlib.oauth2.rfc6749 import parameters  # noqa: PLC0415 - slow to import, seldom needed
        from authlib.oauth2.rfc7636 import challenge  # noqa: PLC0415 - as above

        uri = cast("Callable[..., str]", getattr(parameters, "prepare_grant_uri"))  # noqa: B009 - it has no types
        hashed = cast("Callable[[str], str]", getattr(challenge, "create_s256_code_challenge"))  # noqa: B009 - as above
        return uri(
            provider.authorization_endpoint, self._options.client_id, "code", redirect_uri=pending.callback,
            scope=self._options.scopes, state=state, nonce=pending.nonce, code_challenge_method="S256",
            code_challenge=hashed(pending.verifier),
        )  # fmt: skip

    async def finish(self, state: str, code: str) -> tuple[User, str]:
        """The user whom the provider vouches for, and where they wanted to go. Raises OidcError."""
        pending = self._pending.pop(state, None)
        if pending is None or now_ms() - pending.began_at >= _PENDING_MS:
            raise OidcError("This login expired or was already used. Log in again.")
        provider = await self._discover()
        claims = await self._claims(provider, pending, code)
        subject, name = f"{provider.issuer} {claims['sub']}", self._name(claims)
        role = self._role(claims)
        if role is None or not self._domain_fits(claims):
            self._access.audit.note("login", outcome="not allowed", by=Principal("user", Role.VIEWER, name))
            raise OidcError("Your account is not allowed to use this server. Ask its administrator.")
        try:
            return await self._access.admit(subject, name, role), pending.next
        except UserError as error:
            raise OidcError(f"Login refused: {error}.") from error

    # --- talking to the provider ------------------------------------------------------------------------------------

    def _client(self, provider: Provider, callback: str) -> _Client:
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: PLC0415 - slow to import, seldom needed

        options = self._options
        secretly = _basic if provider.takes_basic else _POST
        client = AsyncOAuth2Client(
            options.client_id, options.client_secret or None, scope=options.scopes, redirect_uri=callback,
            token_endpoint_auth_method=secretly if options.client_secret else "none",
            timeout=_TIMEOUT_S, verify=self._tls,
        )  # fmt: skip
        return cast("_Client", client)

    async def _discover(self) -> Provider:
        """What the provider says of itself; however many strangers want to log in, it is asked once at a time."""
        if self._provider is not None:
            return self._provider
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        provider = await asyncio.shield(self._asking)
        if isinstance(provider, OidcError):
            raise OidcError(str(provider))
        self._provider = provider
        return provider

    async def _ask(self) -> Provider | OidcError:
        url = self._options.issuer.rstrip("/") + _DISCOVERY
        try:
            provider = msgspec.json.decode(await self._fetch(url), type=Provider)
        except (ValueError, RecursionError, OSError) as error:
            log.error("the identity provider can't be reached", url=url, error=str(error))
            return OidcError("The identity provider does not answer. Try again later.")
        if provider.issuer.rstrip("/") != self._options.issuer.rstrip("/"):
            log.error(
                "the identity provider's issuer is not the configured one",
                configured=self._options.issuer,
                is_=provider.issuer,
            )
            return OidcError("The identity provider is not the one that is configured.")
        return provider

    async def _fetch(self, url: str, bearer: str = "") -> bytes:
        """The body of a 200. Raises OSError."""
        import httpx  # noqa: PLC0415 - as above

        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=True, verify=self._tls) as client:
                answer = await client.get(url, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OSError(str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise OSError(f"status {answer.status_code}")
        return answer.content

    async def _token(self, provider: Provider, pending: _Pending, code: str) -> dict[str, object]:
        """The provider's answer to a code. Raises OSError, AuthlibBaseError, or one of `_ODD`."""
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 - as above

        try:
            async with self._client(provider, pending.callback) as client:
                return await client.fetch_token(provider.token_endpoint, code=code, code_verifier=pending.verifier)
        except (AuthlibBaseError, *_ODD):
            raise
        except Exception as error:  # which HTTP client Authlib brings along, and what that raises, is its own affair
            raise OSError(str(error) or type(error).__name__) from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once: it reads all certificates, which takes longer than a request."""
        return ssl.create_default_context()

    async def _claims(self, provider: Provider, pending: _Pending, code: str) -> Mapping[str, Any]:
        """The claims of the ID token, and of the user info where that is needed. Raises OidcError."""
        import jwt  # noqa: PLC0415 - as above
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 - as above

        try:
            token = await self._token(provider, pending, code)
            keys = jwt.PyJWKSet.from_json((await self._fetch(provider.jwks_uri)).decode())
            claims = self._verified(str(token.get("id_token", "")), keys, provider)
            if claims.get("azp", self._options.client_id) != self._options.client_id:
                raise OidcError("The identity provider's answer is for another application.")
            if not secrets.compare_digest(str(claims.get("nonce", "")), pending.nonce):
                raise OidcError("The identity provider's answer belongs to another login. Log in again.")
            if provider.userinfo_endpoint and not self._needed() <= claims.keys():
                more = msgspec.json.decode(
                    await self._fetch(provider.userinfo_endpoint, str(token.get("access_token", ""))),
                    type=dict[str, Any],
                )
                if more.get("sub") == claims["sub"]:
                    claims = {**more, **claims}
        except (AuthlibBaseError, jwt.PyJWTError, OSError, *_ODD) as error:
            log.warning("a login through the identity provider failed", error=f"{type(error).__name__}: {error}")
            raise OidcError("The identity provider's answer can't be used; the server's log says why.") from error
        return claims

    def _verified(self, id_token: str, keys: Any, provider: Provider) -> dict[str, Any]:
        import jwt  # noqa: PLC0415 - as above

        kid = jwt.get_unverified_header(id_token).get("kid")
        key = keys[kid] if kid else keys.keys[0]
        return jwt.decode(
            id_token, key, _ALGORITHMS, audience=self._options.client_id, issuer=provider.issuer, leeway=60,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )  # fmt: skip

    def _needed(self) -> set[str]:
        """The claims that decide; many providers tell them in the user info alone."""
        mail = {"email"} if "email" in self._options.scopes.split() or self._options.domains else set[str]()
        return {self._options.role_claim.partition(".")[0], *mail}

    # --- what claims mean -------------------------------------------------------------------------------------------

    def _name(self, claims: Mapping[str, Any]) -> str:
        email = claims.get("email") if _verified_email(claims) else ""
        return str(email or claims.get("preferred_username") or claims["sub"])

    def _domain_fits(self, claims: Mapping[str, Any]) -> bool:
        if not self._options.domains:
            return True
        domain = str(claims.get("email", "")).rpartition("@")[2].casefold()
        return _verified_email(claims) and domain in {one.casefold().lstrip("@") for one in self._options.domains}

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that the claim earns; None: not let in."""
        claim: Any = dict(claims)
        for part in self._options.role_claim.split("."):  # Keycloak's `realm_access.roles`
            claim = cast("dict[str, Any]", claim).get(part) if isinstance(claim, dict) else None
        given = cast("list[object]", claim) if isinstance(claim, list) else [cast("object", claim)]
        values = {str(value) for value in given if value is not None}
        pairs = (text.partition("=") for text in self._options.roles)
        earned = [read_role(role) for role, _, value in pairs if value in values]
        if not earned and self._options.default_role:
            earned = [read_role(self._options.default_role)]
        return max(earned, default=None)


def _basic(
    client: _Credentials, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Puts the secret into a header as RFC 6749 §2.3.1 has it: form-encoded first, which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body


def _verified_email(claims: Mapping[str, Any]) -> bool:
    """Whether nothing says that the address may be somebody else's."""
    return claims.get("email_verified", True) not in {False, "false"}
