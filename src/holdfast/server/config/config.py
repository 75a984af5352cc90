"""What a server can be told: the values, their types and defaults (`protocol/http-apis.md` §15).

How each value is called by flags, variables and files is said in `options`; where it came from, in `sources`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast import __version__

DEFAULT_PORT = 8288
DEFAULT_DIR = ".holdfast"


class Config(msgspec.Struct, frozen=True):
    """One server's configuration. `kind` is `dev` or `cloud` (`start`), as SDKs call it."""

    kind: str = "dev"
    host: str = "::"  # all addresses, IPv4 too: localhost, by either name, and containers must reach it
    port: int = DEFAULT_PORT
    sdk_urls: tuple[str, ...] = ()
    discovery: bool = True
    poll: bool = True
    poll_interval: float = 5.0  # seconds
    retry_interval: int = 0  # seconds; 0: the back-off table
    workers: int = 100
    cron_catch_up: tuple[str, ...] = ()  # policies, or `<function's slug>=<policy>`; the last one counts
    tick: int = 150  # ms; accepted for compatibility: nothing here is polled
    persist: bool = False
    directory: Path = Path(DEFAULT_DIR)
    postgres_uri: str = ""  # empty: SQLite
    postgres_schema: str = "holdfast"
    postgres_most: int = 16  # connections at once
    postgres_idle: int = 5  # minutes that one may be idle
    signing_key: str = ""
    signing_key_fallback: str = ""
    event_keys: tuple[str, ...] = ()
    ui: bool = True
    admin_user: str = ""
    admin_password: str = ""
    session_idle: float = 12 * 3_600.0  # seconds
    session_lifetime: float = 7 * 86_400.0  # seconds
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    allowed_hosts: tuple[str, ...] = ()  # names by which browsers may reach `dev`, beside the usual ones
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_scopes: str = "openid profile email"
    oidc_role_claim: str = "groups"
    oidc_roles: tuple[str, ...] = ()  # `<role>=<value of the claim>`
    oidc_default_role: str = ""
    oidc_domains: tuple[str, ...] = ()
    egress_deny: tuple[str, ...] = ()  # see config.egress; empty: what `egress` says
    test_mode: bool = False
    gateway_port: int = 0  # 0: the API's port and one, or another one that is free
    gateway_host: str = ""  # empty: `host`
    gateway_url: str = ""  # empty: as workers reach the API
    connect_lease: float = 120.0  # seconds
    step_metadata: bool = True  # whether metadata of runs and steps is taken over HTTP
    retention: tuple[str, ...] = ()  # ages, or `<function's slug>=<age>`; see runtime.retention.Policy
    retention_runs: int = 0  # ended runs of each function; 0: all
    audit_retention: float = 0.0  # seconds; 0: for ever
    drain_timeout: float = 10.0  # seconds
    function_metrics: bool = False
    log_level: str = "info"
    log_format: str = "auto"
    verbose: bool = False  # short for log_level "debug"
    quiet: bool = False  # whether `dev` says nothing of events, runs and apps
    json: bool = False  # short for log_format "json"
    version: str = __version__

    @property
    def database(self) -> Path | None:
        """The database file; None for an ephemeral server, and for one on PostgreSQL."""
        return self.directory / "main.db" if self.persist and not self.postgres_uri else None

    @property
    def signing_secret(self) -> str:
        """The signing key, if calls are to be signed and machine routes guarded."""
        return self.signing_key if self.kind == "cloud" else ""

    @property
    def egress(self) -> tuple[str, ...]:
        """What the server does not call: metadata services, unless told otherwise; anything may be in `dev`."""
        return self.egress_deny or (("link-local",) if self.kind == "cloud" else ())

    @property
    def catch_up(self) -> str:
        """What becomes of missed cron ticks: `none`, `latest` or `all`."""
        return next((text for text in reversed(self.cron_catch_up) if "=" not in text), "latest")

    @property
    def catch_ups(self) -> dict[str, str]:
        """The policies of single functions, by slug."""
        pairs = (text.rpartition("=") for text in self.cron_catch_up)
        return {slug: policy for slug, equals, policy in pairs if equals}
