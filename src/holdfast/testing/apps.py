"""An app as the engine meets it: what it registers, and how it is called. One implementation for each SDK."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from holdfast.testing.clock import VirtualClock

#: Where the apps of a test seem to be served. Nothing listens there.
ORIGIN = "http://app.test"


class Exchange(msgspec.Struct, frozen=True):
    """A request of an SDK to the server. `path` has its query; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request, in either direction."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Send: TypeAlias = Callable[[Exchange], Awaitable[Reply]]
"""How an SDK reaches the server, from the event loop that the server runs on."""


class Host(msgspec.Struct, frozen=True):
    """What a test gives to an app: the clock, and both ways to the server."""

    clock: VirtualClock
    send: Send
    send_from_thread: Callable[[Exchange], Reply]


class App(Protocol):
    """Functions of one client."""

    @property
    def name(self) -> str:
        """The app's id."""
        ...

    @property
    def url(self) -> str:
        """Where it seems to be served."""
        ...

    def attach(self, host: Host) -> None:
        """Have the client send its events to the engine, and its clock show virtual time. Undone by `detach`."""
        ...

    def registration(self) -> bytes:
        """Return the body of its `POST /fn/register`."""
        ...

    async def call(self, slug: str, step: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Call a function as the server does: `step` is the hashed id of a targeted step, or empty."""
        ...

    def detach(self) -> None:
        """Give the client back as it was."""
        ...


def app_of(functions: Sequence[object], client: object | None) -> App:
    """Return the app that functions and their client make.

    Raises TypeError if they are of no SDK that is known, and ValueError if they belong to several apps.
    """
    if not functions:
        raise TypeError("give TestEngine at least one function: TestEngine(fn)")
    kinds = {_package(function) for function in functions}
    if "" not in kinds:
        _check_ids(functions)
    if kinds == {"inngest"}:
        with warnings.catch_warnings():  # the package's own modules are not the test's business
            warnings.simplefilter("ignore")
            from holdfast.testing.official import official_app  # noqa: PLC0415 - only where the package is installed

        return official_app(functions, client)
    if kinds == {"holdfast"}:
        from holdfast.testing.own import own_app  # noqa: PLC0415 - not for who tests the other SDK

        return own_app(functions, client)
    odd = next((f for f in functions if not _package(f)), None)
    if odd is None:
        raise TypeError("functions of two SDKs can't share a TestEngine: use one for each")
    raise TypeError(
        f"TestEngine takes functions made by `create_function`, not {odd!r}: the handler alone has no id and no trigger"
    )


def _check_ids(functions: Sequence[object]) -> None:
    ids = [str(getattr(function, "id", "")) for function in functions]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ValueError(f"the function {twice[0]!r} is given twice: each function has an id of its own")


def _package(function: object) -> str:
    made_by = next((each for each in type(function).__mro__ if each.__name__ == "Function"), object)
    package = made_by.__module__.partition(".")[0]
    return package if package in {"inngest", "holdfast"} else ""
