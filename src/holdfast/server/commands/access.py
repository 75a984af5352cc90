"""`holdfast users`, `tokens`, `keys` and `audit`: who may do what."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from holdfast.server.commands import die
from holdfast.server.commands.reach import Reach, reaching
from holdfast.server.terminal import plain

_ROLE: Final = click.Choice(["viewer", "operator", "admin"])
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


# --- users ------------------------------------------------------------------------------------------------------------


@click.group()
def users() -> None:
    """People who log in.

    Viewers read, operators also run and cancel, admins also manage apps, users, keys, tokens.
    """


@users.command("add")
@click.argument("name")
@click.option("--role", type=_ROLE, required=True, help="Role of the user.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Generate a password and print it.")
@reaching
def add_user(server: Reach, name: str, role: str, password_stdin: bool, generate: bool) -> None:
    """Add a local user; asks for the password unless an option gives it."""
    password = _password(password_stdin, generate)
    server.ask("POST", "/users", {"name": name, "role": role, "password": password})
    click.echo(f"{name} was added, with the role {role}.")
    if generate:
        click.echo(f"Password: {password}")


@users.command("list")
@_as_json
@reaching
def list_users(server: Reach, as_json: bool) -> None:
    """List users."""
    found = server.ask("GET", "/users")["data"]
    columns = ("name", "role", "kind", "created_at", "last_login_at")
    _show(found, columns, as_json, "no users yet: holdfast users add NAME --role admin")


@users.command("passwd")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Generate a password and print it.")
@reaching
def change_password(server: Reach, name: str, password_stdin: bool, generate: bool) -> None:
    """Change a user's password; ends their sessions."""
    password = _password(password_stdin, generate)
    server.ask("PATCH", f"/users/{_quoted(name)}", {"password": password})
    click.echo(f"{name} has a new password; their sessions were ended.")
    if generate:
        click.echo(f"Password: {password}")


@users.command("role")
@click.argument("name")
@click.argument("role", type=_ROLE)
@reaching
def change_role(server: Reach, name: str, role: str) -> None:
    """Change a user's role; ends their sessions."""
    server.ask("PATCH", f"/users/{_quoted(name)}", {"role": role})
    click.echo(f"{name} has the role {role} now; their sessions were ended.")


@users.command("remove")
@click.argument("name")
@reaching
def remove_user(server: Reach, name: str) -> None:
    """Remove a user; ends their sessions. API tokens that they created stay valid."""
    server.ask("DELETE", f"/users/{_quoted(name)}")
    click.echo(f"{name} was removed.")


# --- tokens -----------------------------------------------------------------------------------------------------------


@click.group()
def tokens() -> None:
    """API tokens for scripts: sent as `Authorization: Bearer hf_…`."""


@tokens.command("create")
@click.argument("name")
@click.option("--role", type=_ROLE, default="viewer", show_default=True, help="Role of the token.")
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), help="Days until it expires (default: never).")
@reaching
def create_token(server: Reach, name: str, role: str, days: float | None) -> None:
    """Create a token and print it: it is shown only once."""
    made = server.ask("POST", "/tokens", {"name": name, "role": role, "days": days})["data"]
    click.echo(f"{name}, {role}. The token is shown only once:", err=True)
    click.echo(made["token"])


@tokens.command("list")
@_as_json
@reaching
def list_tokens(server: Reach, as_json: bool) -> None:
    """List tokens, without their secrets."""
    found = server.ask("GET", "/tokens")["data"]
    columns = ("id", "name", "hint", "role", "created_by", "created_at", "expires_at", "used_at", "revoked_at")
    _show(found, columns, as_json, "no tokens yet: holdfast tokens create NAME")


@tokens.command("revoke")
@click.argument("name")
@reaching
def revoke_token(server: Reach, name: str) -> None:
    """Revoke a token, by its name or id."""
    server.ask("DELETE", f"/tokens/{_quoted(name)}")
    click.echo(f"{name} was revoked.")


# --- keys -------------------------------------------------------------------------------------------------------------


@click.group()
def keys() -> None:
    """Keys for machines: event keys and the signing key."""


@keys.group("event")
def event_keys() -> None:
    """Keys for sending events."""


@event_keys.command("create")
@click.argument("name")
@reaching
def create_event_key(server: Reach, name: str) -> None:
    """Create an event key and print it."""
    click.echo(server.ask("POST", "/keys/events", {"name": name})["data"]["key"])


@event_keys.command("list")
@_as_json
@reaching
def list_event_keys(server: Reach, as_json: bool) -> None:
    """List event keys."""
    found = server.ask("GET", "/keys/events")["data"]
    _show(found, ("id", "name", "key", "origin", "created_at"), as_json, "no event keys")


@event_keys.command("revoke")
@click.argument("id")
@reaching
def revoke_event_key(server: Reach, id: str) -> None:
    """Revoke an event key, by its id."""
    server.ask("DELETE", f"/keys/events/{_quoted(id)}")
    click.echo(f"{id} was revoked.")


@keys.group("signing")
def signing_keys() -> None:
    """The key that signs calls to apps and authenticates API clients."""


@signing_keys.command("show")
@_as_json
@reaching
def show_signing_keys(server: Reach, as_json: bool) -> None:
    """Print the signing key and its fallback."""
    found = server.ask("GET", "/keys/signing")["data"]
    _show(found, ("key", "current", "origin", "created_at"), as_json, "none: see --signing-key")


@signing_keys.command("rotate")
@click.option("--key-stdin", is_flag=True, help="Read the new key from standard input (default: generate one).")
@reaching
def rotate(server: Reach, key_stdin: bool) -> None:
    """Replace the signing key; the previous one stays valid until it is retired."""
    key = sys.stdin.readline().strip() if key_stdin else ""
    made = server.ask("POST", "/keys/signing/rotate", {"key": key})["data"]
    click.echo("Calls are signed with this key from now on. Give it to the apps and to --signing-key,", err=True)
    click.echo("then retire the old one: holdfast keys signing retire", err=True)
    click.echo(made["key"])


@signing_keys.command("retire")
@reaching
def retire(server: Reach) -> None:
    """Invalidate the previous signing key: only the current one is valid from now on."""
    server.ask("DELETE", "/keys/signing/fallback")
    click.echo("Only the current signing key is valid now.")


# --- audit ------------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--limit", "-n", type=click.IntRange(1, 500), default=50, show_default=True, help="Number of entries.")
@click.option("--actor", default="", help="Only entries of this actor, such as user:anna.")
@click.option("--action", default="", help="Only entries of this action, such as login.")
@_as_json
@reaching
def audit(server: Reach, limit: int, actor: str, action: str, as_json: bool) -> None:
    """Print who did what, newest first."""
    from urllib.parse import urlencode  # noqa: PLC0415 - `--help` is quick without it

    found = server.ask("GET", "/audit?" + urlencode({"limit": limit, "actor": actor, "action": action}))["data"]
    _show(found, ("at", "actor", "action", "target", "outcome", "address"), as_json, "nothing yet")


# --- helpers ----------------------------------------------------------------------------------------------------------


def _password(from_stdin: bool, generate: bool) -> str:
    if generate and from_stdin:
        raise click.UsageError("--generate and --password-stdin can't be combined")
    if generate:
        return secrets.token_urlsafe(15)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        die("no terminal to ask for a password: use --password-stdin or --generate")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _quoted(text: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - as above

    return quote(text, safe="")


def _show(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool, nothing: str) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(nothing, err=True)
        return
    table = [[name.removesuffix("_at").replace("_", " ").upper() for name in columns]]
    table += [[_cell(name, row[name]) for name in columns] for row in rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        cells = zip(line, widths, strict=True)
        click.echo("  ".join(text.ljust(width) for text, width in cells).rstrip())


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "at" or name.endswith("_at"):
        return datetime.fromtimestamp(float(str(value)) / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return plain(str(value))
