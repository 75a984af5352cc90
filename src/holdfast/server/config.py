"""What a server can be told: by flag, environment or default (`protocol/http-apis.md` §15)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast import __version__

DEFAULT_PORT = 8288
DEFAULT_GATEWAY_PORT = 8289
DEFAULT_DIR = ".holdfast"


class Config(msgspec.Struct, frozen=True):
    """One server's configuration. `kind` is `dev` or `cloud` (`start`), as SDKs call it."""

    kind: str = "dev"
    host: str = "0.0.0.0"  # noqa: S104 - both 127.0.0.1 and containers must reach it
    port: int = DEFAULT_PORT
    sdk_urls: tuple[str, ...] = ()
    discovery: bool = True
    poll: bool = True
    poll_interval: float = 5.0  # seconds
    retry_interval: int = 0  # seconds; 0: the back-off table
    workers: int = 100
    cron_catch_up: str = "latest"
    cron_catch_ups: tuple[tuple[str, str], ...] = ()  # of some functions: slug, policy
    tick: int = 150  # ms; accepted for compatibility: nothing here is polled
    persist: bool = False
    directory: Path = Path(DEFAULT_DIR)
    signing_key: str = ""
    event_keys: tuple[str, ...] = ()
    ui: bool = True
    test_mode: bool = False
    gateway_port: int = DEFAULT_GATEWAY_PORT
    version: str = __version__

    @property
    def database(self) -> Path | None:
        """The database file; None for an ephemeral server."""
        return self.directory / "main.db" if self.persist else None

    @property
    def signing_secret(self) -> str:
        """The signing key, if calls are to be signed and machine routes guarded."""
        return self.signing_key if self.kind == "cloud" else ""
