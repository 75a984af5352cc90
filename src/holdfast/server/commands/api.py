"""`holdfast api <endpoint>`: a client of REST v2, made of the table of its routes (`protocol/http-apis.md` §15.3)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit

import click
import msgspec

from holdfast.server.api.rest.v2.json_schemas import Schema, input_schema
from holdfast.server.commands import die, keep_home
from holdfast.server.config.options import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from holdfast.server.api.rest.v2.operation import Operation

_PORT: Final = 8288
_HELP: Final = {"help_option_names": ["-h", "--help"]}


Query = list[tuple[str, str | int | float | bool | None]]


class _Problem(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    errors: list[_Problem]


class _Target(msgspec.Struct, frozen=True):
    """The server to call, and its credentials."""

    url: str
    token: str
    env: str
    timeout: float
    raw: bool


class _Endpoints(click.Group):
    """A subcommand for each operation that has a command's name; the table is loaded when it is looked at."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_operations())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        operation = _operations().get(cmd_name)
        return _command(operation) if operation is not None else None


@click.group(cls=_Endpoints, context_settings=_HELP)
@click.option("--api-host", "--url", "api_host", default="localhost",
              envvar=["HOLDFAST_API_HOST", "INNGEST_API_HOST", "HOLDFAST_URL"],
              help="Host of the server, or its URL.", show_default=True)  # fmt: skip
@click.option("--api-port", type=click.IntRange(1, 65535), envvar=["HOLDFAST_API_PORT", "INNGEST_API_PORT"],
              help="Port of the server. [default: 8288, or the URL's]")  # fmt: skip
@click.option("--api-key", "--token", "api_key", default="",
              envvar=["HOLDFAST_API_KEY", "INNGEST_API_KEY", "HOLDFAST_API_TOKEN"],
              help="API token to send.")  # fmt: skip
@click.option("--signing-key", default="", envvar=["HOLDFAST_SIGNING_KEY", "INNGEST_SIGNING_KEY"],
              help="Signing key to send, if there is no API token.")  # fmt: skip
@click.option("--env", "environment", default="dev", envvar=["HOLDFAST_ENV", "INNGEST_ENV"],
              help="Environment to ask for.", show_default=True)  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=30.0, help="Seconds.", show_default=True)
@click.option("--raw", is_flag=True, help="Print the response as received, without formatting.")
@click.pass_context
def api(ctx: click.Context, /, api_host: str, api_port: int | None, **given: Any) -> None:
    """Call a running server: REST v2 on the command line."""
    url = _url(api_host, api_port)
    token = str(given["api_key"] or given["signing_key"]) or _key_of_file()
    if token:
        keep_home(url)
    ctx.obj = _Target(url, token, given["environment"], given["timeout"], given["raw"])


def _key_of_file() -> str:
    """Return the signing key from the file that this machine's server is configured with; empty if there is none."""
    variable = BY_NAME["signing-key"].file_variable
    path = os.environ.get(variable, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        die(f"can't read {path}, which {variable} names: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")


def _url(host: str, port: int | None) -> str:
    if "://" not in host:
        return f"http://{host}:{port or _PORT}"
    parts = urlsplit(host)
    if port is None or parts.port is not None:
        return host.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}:{port}"


def _operations() -> dict[str, Operation]:
    from holdfast.server.api.rest.v2.catalogue import OPERATIONS  # noqa: PLC0415 - `holdfast --help` is quick

    return {operation.command: operation for operation in OPERATIONS if operation.command}


def _command(operation: Operation) -> click.Command:
    names = {field.name: field.encode_name for field in msgspec.structs.fields(operation.request)}
    path = [names[name] for name in operation.parameters]
    properties = input_schema(operation)["properties"]
    assert isinstance(properties, dict)
    parameters: list[click.Parameter] = [
        click.Argument([name.lower()], required=False, metavar=f"[{_flag(name)[2:].upper().replace('-', '_')}]")
        for name in path
    ]
    for name, schema in cast("dict[str, Schema]", properties).items():
        if name in path:
            parameters.append(click.Option([_flag(name), f"flag_{name.lower()}"], help=_text(schema)))
        elif not operation.body:
            parameters.append(_option(name, schema))
    if not operation.reads and operation.method != "DELETE":
        parameters.append(click.Option(["--body"], help="The whole body, JSON."))
        parameters.append(click.Option(["--body-file"], help="A file with the body; - is standard input."))

    @click.pass_obj
    def call(target: _Target, /, **given: Any) -> None:
        _print(target, *_request(operation, target, path, given))

    return click.Command(
        operation.command, params=parameters, callback=call, help=operation.description,
        short_help=operation.summary, context_settings=_HELP,
    )  # fmt: skip


def _flag(name: str) -> str:
    return "--" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def _text(schema: Schema) -> str:
    return str(schema.get("description", ""))


def _option(name: str, schema: Schema) -> click.Option:
    kind, text = schema.get("type"), _text(schema)
    declared = [_flag(name), f"field_{name}"]
    if kind == "boolean":
        return click.Option([f"{_flag(name)}/--no-{_flag(name)[2:]}", declared[1]], default=None, help=text)
    if kind == "array" and schema.get("items") == {"type": "string"}:
        return click.Option(declared, multiple=True, help=f"{text} May be repeated.")
    if kind == "integer":
        return click.Option(declared, type=int, help=text)
    return click.Option(
        declared, help=text if kind == "string" else f"{text} JSON.".strip(), type=str if kind == "string" else _json
    )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}") from None


def _request(
    operation: Operation, target: _Target, path: list[str], given: Mapping[str, Any]
) -> tuple[str, str, Query, bytes | None]:
    """Return method, URL, query and body of a call."""
    where = operation.template
    for placeholder, name in zip(operation.parameters, path, strict=True):
        value = given[name.lower()] or given[f"flag_{name.lower()}"]
        if not value:
            raise click.UsageError(f"Missing {name}: give it as an argument, or with {_flag(name)}")
        where = where.replace(f"{{{placeholder}}}", quote(str(value), safe=""))
    fields = {
        key.removeprefix("field_"): value for key, value in given.items()
        if key.startswith("field_") and value is not None and value != ()
    }  # fmt: skip
    url = f"{target.url}/api/v2{where}"
    if operation.reads or operation.method == "DELETE":
        return operation.method, url, _query(fields), None
    return operation.method, url, [], _body(given, fields)


def _query(fields: Mapping[str, Any]) -> Query:
    pairs: Query = []
    for name, value in fields.items():
        values = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        pairs += [(name, str(each).lower() if isinstance(each, bool) else str(each)) for each in values]
    return pairs


def _body(given: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    whole, file = given.get("body"), given.get("body_file")
    if sum((whole is not None, file is not None, bool(fields))) > 1:
        raise click.UsageError("Give the body only once: by its flags, by --body or by --body-file")
    if file is not None:
        try:
            return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        except OSError as error:
            die(f"can't read the body: {error}")
    return str(whole).encode() if whole is not None else json.dumps(fields).encode()


def _print(target: _Target, method: str, url: str, query: Query, body: bytes | None) -> None:
    import httpx  # noqa: PLC0415 - `--help` is quick without it

    headers = {"x-inngest-env": target.env, **({"authorization": f"Bearer {target.token}"} if target.token else {})}
    if body is not None:
        headers["content-type"] = "application/json"
    try:
        answer = httpx.request(method, url, params=query, content=body, headers=headers, timeout=target.timeout)
    except httpx.HTTPError as error:
        die(f"no answer from {target.url}: {error}")
    if not answer.is_success:
        text = answer.text.strip() if target.raw else _told(answer)
        hint = "; give an API token with --api-key, or the signing key" if answer.status_code == 401 else ""
        die(f"{answer.status_code}: {text}{hint}")
    click.echo(answer.content if target.raw else _pretty(answer.content))


def _told(answer: httpx.Response) -> str:
    """Return the error text of a response; the whole body if it has no known form."""
    try:
        errors = msgspec.json.decode(answer.content, type=_Refusal).errors
    except msgspec.DecodeError:
        errors = []
    return "; ".join(error.message for error in errors) or answer.text.strip() or answer.reason_phrase


def _pretty(content: bytes) -> bytes:
    try:
        return msgspec.json.format(content, indent=2)
    except msgspec.DecodeError:
        return content
