"""The table of options: one row each, from which flags, variables, files, `config show` and the manual are made.

To add an option:

1. Give `Config` a field, with its type and default.
2. Give `OPTIONS` below a row: the flag's name without dashes (also its key in files; `HOLDFAST_<NAME>` and
   `INNGEST_<NAME>` follow from it), a line of help, and its kind (`kinds`: text, `Integer`, `Switch`, `Choice`,
   `Duration` in seconds, `Folder`). What else there is to say: see `Option`.
3. `make format` renews docs/reference/cli.md and docs/reference/configuration.md.

Read it as `config.<field>`; a subcommand of yours gets some options by `commands.with_options("sqlite-dir", …)`.
A variable that is read elsewhere goes to `OTHER_VARIABLES`, or servers warn of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.server.config import Config
from holdfast.server.config.ages import parse_age
from holdfast.server.config.kinds import Choice, Duration, Folder, Integer, Kind, Switch, Value

DEV: Final = "dev"
START: Final = "start"
BOTH: Final = (DEV, START)


class Option(msgspec.Struct, frozen=True):
    """One option. The default is that of its field in `Config`."""

    name: str
    help: str
    kind: Kind = Kind()
    field: str = ""  # of Config; the name with underscores if empty
    inverted: bool = False  # the field says the opposite: `no-poll`, `Config.poll`
    many: bool = False  # repeatable; with commas in one text
    short: str = ""
    commands: tuple[str, ...] = BOTH
    env: tuple[str, ...] = ()  # variables beside HOLDFAST_<NAME> and INNGEST_<NAME>, asked last
    own_env: bool = True  # whether there are HOLDFAST_<NAME> and INNGEST_<NAME>
    flag: bool = True
    in_files: bool = True
    secret: bool = False  # masked; HOLDFAST_<NAME>_FILE names a file that has it
    group: str = "Server"  # of the manual
    check: Callable[[Value], Value] | None = None  # of one value; may replace it, raises ValueError ("must be …")

    @property
    def attribute(self) -> str:
        """The field of `Config`."""
        return self.field or self.name.replace("-", "_")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables, in the order in which they are asked."""
        stem = self.name.replace("-", "_").upper()
        return (*((f"HOLDFAST_{stem}", f"INNGEST_{stem}") if self.own_env else ()), *self.env)

    @property
    def file_variable(self) -> str:
        """The variable that names the file with a secret; empty if this is none."""
        return f"HOLDFAST_{self.name.replace('-', '_').upper()}_FILE" if self.secret else ""

    @property
    def default(self) -> Value | tuple[Value, ...]:
        """What counts if nobody says anything."""
        value: Value | tuple[Value, ...] = getattr(_DEFAULTS, self.attribute)
        return not value if self.inverted else value


_DEFAULTS: Final = Config()


def _catch_up(value: Value) -> Value:
    from holdfast.protocol.function_checks import CATCH_UP  # noqa: PLC0415 - `--help` is quick without the server

    if str(value).rpartition("=")[2] not in CATCH_UP:
        raise ValueError(f"a policy ({', '.join(CATCH_UP)}), or <function>=<policy>")
    return value


def _age(value: Value) -> Value:
    parse_age(str(value).rpartition("=")[2])
    return value


def _app_url(value: Value) -> Value:
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    text = str(value)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(letter <= " " for letter in text):
        raise ValueError("an HTTP URL, such as http://localhost:8000/api/inngest")
    return value


def _postgres_uri(value: Value) -> Value:
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    try:
        parts = urlsplit(str(value))
        good = parts.scheme in {"postgres", "postgresql"} and len(parts.path) > 1
    except ValueError:
        good = False
    if value and not good:
        raise ValueError("a PostgreSQL URI, such as postgresql://user:password@host:5432/database")
    return value


def _schema(value: Value) -> Value:
    text = str(value)
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", text):
        raise ValueError("a name of lower-case letters, digits and _, which does not begin with pg_")
    return value


def _gateway_url(value: Value) -> Value:
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    if not value:
        return value
    problem = "a WebSocket URL, such as wss://connect.example.com"
    try:
        parts = urlsplit(str(value))
        port = parts.port
    except ValueError:
        raise ValueError(problem) from None
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or port == 0 or any(c <= " " for c in str(value)):
        raise ValueError(problem)
    return parts._replace(path="/v0/connect").geturl() if parts.path in {"", "/"} else value


def _lease(value: Value) -> Value:
    if not isinstance(value, (int, float)) or not 4 <= value <= 3_600:
        raise ValueError("between 4 seconds and an hour")
    return value


def _network(value: Value) -> Value:
    from ipaddress import ip_network  # noqa: PLC0415 - as above

    try:
        if value != "*":
            ip_network(str(value))
    except ValueError:
        raise ValueError("an address, a network such as 10.0.0.0/8, or *; names are not looked up") from None
    return value


def _egress(value: Value) -> Value:
    from holdfast.server.config.egress import check_rule  # noqa: PLC0415 - as above

    try:
        check_rule(str(value))
    except ValueError:
        raise ValueError("a network, an address, a name, *.name, link-local, private, loopback or none") from None
    return value


def _never_zero(value: Value) -> Value:
    return value or _DEFAULTS.poll_interval


def _signing_key(value: Value) -> Value:
    from holdfast.protocol.signing import check_signing_key  # noqa: PLC0415 - as above

    if value:
        try:
            check_signing_key(str(value))
        except ValueError:
            raise ValueError("hex, with an even number of characters") from None
    return value


def _password(value: Value) -> Value:
    from holdfast.protocol.limits import MAX_PASSWORD, MIN_PASSWORD  # noqa: PLC0415 - as above

    if value and not MIN_PASSWORD <= len(str(value)) <= MAX_PASSWORD:
        raise ValueError(f"a password of {MIN_PASSWORD} to {MAX_PASSWORD:,} characters")
    return value


def _oidc_role(value: Value) -> Value:
    if str(value).partition("=")[0] not in {"viewer", "operator", "admin"} or not str(value).partition("=")[2]:
        raise ValueError("viewer=…, operator=… or admin=…")
    return value


_PORT = Integer(0, 65_535)

OPTIONS: Final = (
    Option("host", "Address to listen on; :: means all (IPv4 too), localhost means 127.0.0.1 and ::1."),
    Option("port", "Port of the API.", _PORT, short="p"),
    Option("connect-gateway-port", "Port that workers connect to; 0: the API's port + 1, or the next free one.", _PORT,
           field="gateway_port", group="Connect"),
    Option("connect-gateway-host", "Address that the Connect gateway listens on (default: that of the API).",
           field="gateway_host", group="Connect"),
    Option("connect-gateway-url", "URL at which workers reach the gateway, such as wss://connect.example.com "
           "(default: the name by which they reached the API, and the gateway's port).", field="gateway_url",
           check=_gateway_url, group="Connect"),
    Option("connect-lease", "How long a worker may hold a call without renewing its lease.", Duration(), check=_lease,
           group="Connect"),
    Option("sqlite-dir", "Folder of the database.", Folder(), field="directory"),
    Option("postgres-uri", "Database to work on instead of a file: postgresql://user:password@host:port/database, with "
           "sslmode, sslrootcert, sslcert and sslkey for TLS.", secret=True, check=_postgres_uri, group="PostgreSQL"),
    Option("postgres-schema", "Schema of the database that holds the tables.", check=_schema, group="PostgreSQL"),
    Option("postgres-max-open-conns", "Connections at once, at most.", Integer(4, 10_000), field="postgres_most",
           group="PostgreSQL"),
    Option("postgres-conn-max-idle-time", "Minutes after which an idle connection is closed.", Integer(1, 10_000),
           field="postgres_idle", group="PostgreSQL"),
    Option("persist", "Keep the database between starts.", Switch(), commands=(DEV,)),
    Option(
        "drain-timeout",
        "How long SIGTERM waits for calls in flight; those that take longer are made again after the next start.",
        Duration(), commands=(START,),
    ),
    Option("signing-key", "Key that signs calls and guards the API (required; hex).", secret=True, commands=(START,),
           group="Keys"),
    Option("event-key", "Key for sending events (required, repeatable).", field="event_keys", many=True, secret=True,
           commands=(START,), group="Keys"),
    Option("signing-key-fallback", "Signing key that is accepted beside the current one, while it is being replaced.",
           secret=True, commands=(START,), check=_signing_key, group="Keys"),
    Option("admin-user", "Name of the first admin, created at the start if there are no users.",
           commands=(START,), group="Logins"),
    Option("admin-password", "The first admin's password.", secret=True, commands=(START,), check=_password,
           group="Logins"),
    Option("session-idle", "How long an unused login session lasts.", Duration(), commands=(START,),
           group="Logins"),
    Option("session-lifetime", "Maximum lifetime of a login session.", Duration(), commands=(START,), group="Logins"),
    Option("trusted-proxies", "Addresses of proxies whose X-Forwarded-For and -Proto to trust (repeatable).", many=True,
           check=_network, group="Logins"),
    Option("allowed-host", "Name by which browsers may reach the dev server, beside this machine's; *: any "
           "(repeatable).", field="allowed_hosts", many=True, commands=(DEV,), group="Logins"),
    Option("oidc-issuer", "URL of an identity provider (OpenID Connect) that people log in with.", commands=(START,),
           group="Logins"),
    Option("oidc-client-id", "Client id of this server at the identity provider.", commands=(START,), group="Logins"),
    Option("oidc-client-secret", "Client secret of this server at the identity provider.", secret=True,
           commands=(START,), group="Logins"),
    Option("oidc-scopes", "Scopes requested from the identity provider.", commands=(START,), group="Logins"),
    Option("oidc-role-claim", "Claim that roles are derived from, such as groups.", commands=(START,), group="Logins"),
    Option("oidc-role", "Role for a value of the claim, such as admin=ops-team (repeatable).",
           field="oidc_roles", many=True, commands=(START,), check=_oidc_role, group="Logins"),
    Option("oidc-default-role", "Role of users that match no --oidc-role (default: they are refused).",
           Choice("viewer", "operator", "admin"), commands=(START,), group="Logins"),
    Option("oidc-domain", "E-mail domain whose users may log in (repeatable; default: any).",
           field="oidc_domains", many=True, commands=(START,), group="Logins"),
    Option("sdk-url", "URL of an app to sync (repeatable).", field="sdk_urls", many=True, short="u", check=_app_url,
           group="Apps"),
    Option("no-discovery", "Turn off autodiscovery of local apps.", Switch(), field="discovery", inverted=True,
           commands=(DEV,), group="Apps"),
    Option("no-poll", "Don't ping healthy apps again.", Switch(), field="poll", inverted=True, commands=(DEV,),
           group="Apps"),
    Option("poll-interval", "Time between pings of apps.", Duration(), check=_never_zero, group="Apps"),
    Option("queue-workers", "Maximum number of calls in flight; one function gets nine tenths at most.", Integer(1),
           field="workers", group="Execution"),
    Option("retry-interval", "Seconds between retries; 0: back-off.", Integer(), group="Execution"),
    Option("egress-deny", "Networks (10.0.0.0/8) and names (*.internal) that the server does not call: not for apps, "
           "gateway steps or redirects; also link-local, private, loopback, none (repeatable; default in start: "
           "link-local).", many=True, check=_egress, group="Execution"),
    Option("cron-catch-up", "Missed cron ticks to make up for: none, latest (the default) or all; of one function by "
           "its slug (repeatable).", many=True, check=_catch_up, group="Execution"),
    Option("retention", "How long ended runs and their events are kept, such as 30d (default: for ever); of one "
           "function by its slug, such as shop-checkout=7d (repeatable).", many=True, check=_age, group="Data"),
    Option("retention-runs", "Number of ended runs to keep per function, newest first; 0: all.", Integer(),
           group="Data"),
    Option("audit-retention", "How long entries of the audit log are kept; 0: for ever.", Duration(), commands=(START,),
           group="Data"),
    Option("tick", "Accepted for compatibility; has no effect.", Integer(1), group="Execution"),
    Option("no-ui", "Without UI and GraphQL.", Switch(), field="ui", inverted=True, commands=(START,), group="API"),
    Option("function-metrics", "Count runs and calls by function in /metrics.", Switch(),
           env=("INNGEST_EXPERIMENTAL_PROM_METRICS",), group="API"),
    Option("step-metadata", "Accept metadata of runs and steps over HTTP.", Switch(),
           env=("EXPERIMENTAL_STEP_METADATA",), group="API"),
    Option("test-mode", "Mount /test.", Switch(), env=("TEST_MODE",), own_env=False, flag=False, in_files=False,
           group="API"),
    Option(
        "log-level", "Minimum level of log messages.",
        Choice("trace", "debug", "info", "warn", "error", also={"warning": "warn", "critical": "error"}), short="l",
        env=("LOG_LEVEL",), group="Logs",
    ),
    Option("quiet", "Don't print events, runs and apps as they happen.", Switch(), short="q", commands=(DEV,),
           own_env=False, group="Logs"),
    Option("verbose", "Short for --log-level debug.", Switch(), short="v", own_env=False, group="Logs"),
    Option(
        "log-format", "Log format; auto: text on a terminal, JSON lines elsewhere.",
        Choice("auto", "json", "text", also={"dev": "text", "txt": "text"}), env=("LOG_HANDLER",), group="Logs",
    ),
    Option("json", "Short for --log-format json.", Switch(), own_env=False, group="Logs"),
)  # fmt: skip

BY_NAME: Final = {option.name: option for option in OPTIONS}

#: `HOLDFAST_*` variables that are no server options.
OTHER_VARIABLES: Final = frozenset({
    "HOLDFAST_CONFIG", "HOLDFAST_URL", "HOLDFAST_API_TOKEN", "HOLDFAST_API_HOST", "HOLDFAST_API_KEY",
    "HOLDFAST_API_PORT", "HOLDFAST_ENV",
})  # fmt: skip

_NO_REDIS = "state is kept in SQLite, in --sqlite-dir, or in PostgreSQL (--postgres-uri)"
_IDLE = "idle connections are closed after --postgres-conn-max-idle-time"
_ONE_PORT = "internal traffic needs no port"

#: Options of the reference that mean nothing here, and why.
FOREIGN: Final = {
    "redis-uri": _NO_REDIS,
    **dict.fromkeys(("postgres-max-idle-conns", "postgres-conn-max-lifetime"), _IDLE),
    **dict.fromkeys(
        ("connect-gateway-grpc-port", "connect-executor-grpc-port", "connect-gateway-grpc-ip",
         "connect-executor-grpc-ip", "debug-api-port"), _ONE_PORT,
    ),
}  # fmt: skip
