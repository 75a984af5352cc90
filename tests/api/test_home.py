from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from starlette.applications import Starlette

from holdfast.server.access.principals import Principal, Role, current
from holdfast.server.api import home
from holdfast.server.api.backend import Backend, ServerInfo
from holdfast.server.model.app import AppRecord


class _History:
    def __init__(self, apps: list[AppRecord]) -> None:
        self._apps = apps

    async def apps(self) -> list[AppRecord]:
        return self._apps

    async def functions_of_apps(self, ids: list[str]) -> dict[str, list[object]]:
        return {id: [1, 2] for id in ids}


def page(kind: str, apps: list[AppRecord]) -> str:
    backend = SimpleNamespace(info=ServerInfo(kind=kind, version="1<2"), history=_History(apps))  # type: ignore[arg-type]
    app = Starlette(routes=list(home.routes(cast("Backend", backend))))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.get("/")

    answer = asyncio.run(get())
    assert answer.status_code == 200
    return answer.text


def test_a_newcomer_is_told_how_to_add_an_app() -> None:
    assert "holdfast dev -u" in page("dev", [])


def test_a_newcomer_of_a_self_hosted_server_is_told_its_own_command() -> None:
    token = current.set(Principal("user", Role.VIEWER, "anna"))
    try:
        text = page("cloud", [])
    finally:
        current.reset(token)
    assert "holdfast start -u" in text
    assert "holdfast dev" not in text


def test_apps_are_listed_and_nothing_of_theirs_is_markup() -> None:
    text = page("dev", [AppRecord("a", "<b>shop</b>", "http://x", error="unreachable")])
    assert "&lt;b&gt;shop&lt;/b&gt;" in text
    assert "2 functions" in text
    assert "unreachable" in text
    assert "1&lt;2" in text


@pytest.mark.parametrize("apps", [[], [AppRecord("a", "secret-shop", "http://x")]])
def test_a_self_hosted_server_tells_strangers_nothing(apps: list[AppRecord]) -> None:
    assert "secret-shop" not in page("cloud", apps)


def test_one_function_is_no_plural_and_commands_have_what_the_server_asks_for() -> None:
    assert home._count(1) == "1 function"
    assert "Authorization: Bearer" in page("cloud", [])
    assert "Authorization" not in page("dev", [])
