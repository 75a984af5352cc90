"""`holdfast check module:client`: tells what a run or a registration of an app's functions would stumble over."""

from __future__ import annotations

import gc
import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import click
import msgspec

from holdfast.server.commands.worker import apps_of

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function
    from holdfast.sdk.linting import Problem


@click.command()
@click.argument("app", metavar="MODULE:CLIENT")
def check(app: str) -> None:
    """Find mistakes in an app's functions, without running them.

    Imports the module, and looks at all functions of the client that there are then: ids that are used twice, options
    that a server would refuse, steps within steps, and calls outside of steps that give another value each time.

    Exits with code 1 if it finds any.
    """
    functions = [function for client, _ in apps_of(app) for function in _functions(client)]
    problems = sorted(set(_problems(functions)))
    for problem in problems:
        click.echo(str(problem))
    found = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}" if problems else "nothing wrong"
    click.echo(f"{len(functions)} function{'' if len(functions) == 1 else 's'}: {found}", err=bool(problems))
    if problems:
        sys.exit(1)


def _functions(client: Inngest) -> list[Function[Any]]:
    """Return all functions of a client that have been created, in the order of their places."""
    every = [each for each in gc.get_objects() if _is_function(each)]
    mine = [each for each in every if each.id == f"{client.app_id}-{each.local_id}"]
    return sorted(mine, key=_place)


def _is_function(value: object) -> TypeGuard[Function[Any]]:
    from holdfast.sdk.function import Function  # noqa: PLC0415 - the SDK is not needed by other commands

    return isinstance(value, Function)


def _place(function: Function[Any]) -> tuple[str, int]:
    code = getattr(inspect.unwrap(function.original), "__code__", None)
    return ("?", 0) if code is None else (code.co_filename, code.co_firstlineno)


def _problems(functions: list[Function[Any]]) -> list[Problem]:
    from holdfast.sdk.linting import check_code, check_ids  # noqa: PLC0415 - as above

    found = check_ids(functions, _place)
    for function in functions:
        found += [*check_code(function), *_refusals(function)]
    return found


def _refusals(function: Function[Any]) -> list[Problem]:
    """Return what a server would refuse a function for."""
    from holdfast.protocol.functions import check_function, decode_registration  # noqa: PLC0415 - slow to import
    from holdfast.sdk.linting import Problem  # noqa: PLC0415 - as above
    from holdfast.server.expressions import check as check_expression  # noqa: PLC0415 - slow to import

    config = function.get_config("http://localhost/api/inngest").main
    body = {"url": "http://localhost/api/inngest", "appName": "check", "sdk": "check", "functions": [config]}
    file, line = _place(function)
    registration = decode_registration(msgspec.json.encode(body))
    return [
        Problem(file, line, "refused", f"{function.local_id!r}: {error.splitlines()[0]}")
        for each in registration.functions
        for error in check_function(each, check_expression)
    ]
