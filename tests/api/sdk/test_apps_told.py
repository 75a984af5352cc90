"""What becomes of apps: told, with names and reasons; placeholders go away; removal over the API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.api.access_rig import EVENT_KEY, KEY, Rig, bearer

from holdfast.server.access.principals import Role
from holdfast.server.activity.happening import Happening, What
from holdfast.server.activity.text import line
from holdfast.server.runtime.app_trouble import UNREACHABLE
from holdfast.server.runtime.apps import Refused
from holdfast.server.runtime.syncer import Syncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.server.runtime.apps import Apps

URL = "http://localhost:3999/api/inngest"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def told(rig: Rig) -> list[Happening]:
    heard: list[Happening] = []
    rig.server.apps.tell = heard.append
    return heard


def registration(*functions: tuple[str, dict[str, Any]], app: str = "shop") -> bytes:
    return json.dumps({
        "appName": app, "url": URL, "sdk": "py:v0.5.0", "v": "0.1", "deployType": "ping", "framework": "x",
        "functions": [
            {"id": f"{app}-{name}", "name": name, "triggers": [trigger],
             "steps": {"step": {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{URL}?f={name}"}}}}
            for name, trigger in functions
        ],
    }).encode()  # fmt: skip


GOOD = ("pay", {"event": "paid"})
BAD = ("daily", {"cron": "99 * * * *"})


async def register(apps: Apps, *functions: tuple[str, dict[str, Any]]) -> None:
    apps.register(registration(*functions))


def test_a_refused_app_is_told_with_the_functions_name_and_once(rig: Rig, told: list[Happening]) -> None:
    apps = rig.server.apps
    apps.expect(URL)
    for _ in range(2):
        with pytest.raises(Refused):
            rig.run(register(apps, GOOD, BAD))
    (refused,) = told
    assert refused.what is What.APP_REFUSED
    assert refused.error == "shop-daily: '99 * * * *' isn't a valid cron schedule"
    (app,) = apps.active()  # no placeholder beside it
    assert (app.name, app.error) == ("shop", f"1 errors occurred: * {refused.error}")


def test_a_poll_keeps_the_reason_of_a_refusal(rig: Rig, told: list[Happening]) -> None:
    apps = rig.server.apps

    class Fetch:
        async def fetch(self, *_: object, **__: object) -> Any:
            with pytest.raises(Refused):
                apps.register(registration(BAD))
            message = b'{"message":"At least one function is invalid"}'
            return SimpleNamespace(status=400, headers={"x-inngest-sdk": "py"}, body=message)

    syncer = Syncer(apps, cast("Any", Fetch()), server_kind="dev")
    for _ in range(2):
        rig.run(syncer.sync(apps.by_url(URL) or apps.expect(URL)))
    (app,) = apps.active()
    assert "shop-daily: '99" in app.error
    assert [happening.what for happening in told] == [What.APP_REFUSED]


def test_a_sync_tells_what_changed_and_who_is_back(rig: Rig, told: list[Happening]) -> None:
    apps = rig.server.apps
    rig.run(register(apps, GOOD, ("old", {"event": "x"})))
    rig.run(register(apps, ("pay", {"event": "paid", "expression": "event.data.n > 1"}), ("new", {"event": "x"})))
    (app,) = apps.active()
    apps.set_error(app, UNREACHABLE)
    apps.set_error(apps.apps[app.id], UNREACHABLE)
    rig.run(register(apps, ("pay", {"event": "paid", "expression": "event.data.n > 1"}), ("new", {"event": "x"})))
    assert [happening.what for happening in told] == [
        What.APP_SYNCED, What.APP_SYNCED, What.APP_UNREACHABLE, What.APP_BACK,
    ]  # fmt: skip
    _, second, away, back = told
    assert (second.added, second.changed, second.removed) == (("shop-new",), ("shop-pay",), ("shop-old",))
    assert away.since > 0
    assert (back.added, back.changed, back.removed) == ((), (), ())


def test_an_app_that_stays_away_is_told_again_at_longer_and_longer_intervals(
    rig: Rig, told: list[Happening], monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = rig.server.apps
    rig.run(register(apps, GOOD))
    began, times = apps.now(), list[int]()
    for second in range(0, 3_600, 5):
        monkeypatch.setattr(apps, "now", lambda second=second: began + second * 1_000)
        before = len(told)
        apps.set_error(apps.active()[0], UNREACHABLE)
        times += [second] * (len(told) - before)
    assert times == [0, 60, 180, 420, 900, 1_860]


def test_a_call_that_finds_nobody_says_so_and_so_does_the_next_one_that_is_answered(
    rig: Rig, told: list[Happening]
) -> None:
    apps = rig.server.apps
    rig.run(register(apps, GOOD))
    (app,) = apps.active()
    for reached in (True, False, False, True, True):
        apps.called(app.id, reached=reached)
    assert [happening.what for happening in told[1:]] == [What.APP_UNREACHABLE, What.APP_BACK]
    assert not apps.active()[0].error


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/invoke/shop-pay", b"[]", 400, "an invocation of shop-pay: Unable to read post data request (400)"),
        (
            "/webhooks/none",
            b"{}",
            404,
            "a webhook: Webhook not found: it was deleted, or the URL is not complete (404)",
        ),
        (f"/e/{EVENT_KEY}", b"{}", 400, "an event: event name is empty (400)"),
    ],
)
def test_what_is_refused_is_told(rig: Rig, path: str, body: bytes, status: int, text: str) -> None:
    heard = list[Happening]()
    end = rig.server.activity.follow(heard.append, everything=True)
    answer = rig.request("POST", path, content=body, headers=bearer(KEY))
    end()
    assert answer.status_code == status
    assert [line(happening, color=False).partition("refused")[2].strip() for happening in heard] == [text]


def test_placeholders_that_nobody_wants_are_forgotten(rig: Rig) -> None:
    apps = rig.server.apps
    rig.run(register(apps, GOOD))
    apps.expect("http://localhost:1/wrong")
    apps.expect("http://localhost:2/wanted")
    apps.forget_placeholders(["http://localhost:2/wanted"], older_than=60_000)
    assert len(apps.active()) == 3
    apps.forget_placeholders(["http://localhost:2/wanted"])
    assert {app.name or app.url for app in apps.active()} == {"shop", "http://localhost:2/wanted"}


def test_discovery_goes_on_beside_a_url_where_nobody_is(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = rig.server.apps
    apps.expect("http://localhost:4000/api/inngest")
    pinged: list[str] = []

    async def scan(_: Syncer) -> list[str]:
        return [URL]

    async def ping(_: Syncer, url: str) -> tuple[str, bool]:
        pinged.append(url)
        apps.register(registration(GOOD))
        return "", True

    monkeypatch.setattr(Syncer, "scan", scan)
    monkeypatch.setattr(Syncer, "_ping", ping)
    rig.run(asyncio.wait_for(Syncer(apps, cast("Any", None), server_kind="dev", interval=0.01)._discover(), 5))
    assert pinged == [URL]


def test_an_app_is_removed_over_the_api_and_audited(rig: Rig) -> None:
    apps = rig.server.apps
    rig.run(register(apps, GOOD))
    placeholder = apps.expect("http://localhost:1/wrong")
    operator, admin = rig.token(Role.OPERATOR, "o"), rig.token(Role.ADMIN, "a")
    assert rig.request("DELETE", "/v2/apps/shop", headers=operator).status_code == 403
    assert rig.request("DELETE", "/v2/apps/shop", headers=admin).status_code == 200
    assert rig.request("DELETE", f"/v2/apps/{placeholder.id}", headers=admin).status_code == 200
    assert rig.request("DELETE", "/v2/apps/shop", headers=admin).status_code == 404
    assert apps.active() == []
    assert rig.server.partition.view.functions == {}
    entries = rig.request("GET", "/v0/access/audit", headers=admin).json()
    assert "app.deleted" in str(entries)
