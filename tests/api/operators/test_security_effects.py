"""What each role can cause by each command: state that changes, hosts that are called, hosts that are signed for.

One table: who may, and what then happens. Below that role nothing happens at all, whatever the status says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.api.access_rig import EVENT_KEY, KEY, ROLES, Rig, bearer
from tests.api.test_reloading import registration

from holdfast.protocol.ids import ulid
from holdfast.server.access.principals import Role
from holdfast.server.drivers.http.call import Call
from holdfast.server.drivers.http.failures import CallFailure
from holdfast.server.store.sqlite.backup import open_read_only

OPERATOR, ADMIN = Role.OPERATOR, Role.ADMIN
APP, ELSEWHERE = "localhost:9", "169.254.169.254:80"
#: What the caller is and did is noted of refused requests, too.
NOTES = {"audit", "sessions", "api_tokens"}


class Entry(msgspec.Struct, frozen=True):
    """A request, the least role that may make it, and what it causes. `{run}` and `{id}` are filled in."""

    method: str
    path: str
    body: Any
    role: Role
    changes: bool = True
    calls: tuple[str, ...] = ()  # hosts, each with a signature


def gql(mutation: str) -> dict[str, str]:
    return {"query": f"mutation {{ {mutation} }}"}


def endpoint(host: str, number: int) -> dict[str, Any]:
    data = {"domain": f"http://{host}", "path": "/pay", "method": "GET"}
    return {"run_id": ulid(1_700_000_000_000, number), "event": {"name": "inngest/http.request", "data": data}}


WINDOW = {
    "app_id": "shop", "function_id": "shop-pay", "started_after": "2020-01-01T00:00:00Z",
    "started_before": "2020-01-02T00:00:00Z",
}  # fmt: skip
MEMO = {"run_id": "{run}", "steps": [{"op": "StepRun", "id": "a" * 40, "name": "s", "data": 1}]}
USER = {"name": "eve", "role": "viewer", "password": "correct horse battery"}
TABLE = (
    Entry("POST", "/invoke/shop-pay", {"data": {}}, OPERATOR, calls=(APP,)),
    Entry("POST", "/v2/apps/shop/functions/pay/invoke", {"data": {}}, OPERATOR, calls=(APP,)),
    Entry("POST", "/v2/events", {"name": "go", "data": {}}, OPERATOR, calls=(APP,)),
    Entry("POST", "/v2/runs/{run}/rerun", {}, OPERATOR, calls=(APP,)),
    Entry("POST", "/v0/gql", gql('rerun(runID: "{run}")'), OPERATOR, calls=(APP,)),
    Entry("POST", "/v1/signals", {"signal": "nobody", "data": {}}, OPERATOR, changes=False),
    Entry("POST", "/v1/cancellations", WINDOW, OPERATOR),
    Entry("POST", "/v1/functions/shop-pay/pause", {}, OPERATOR),
    Entry("POST", "/v1/functions/shop-pay/resume", {}, OPERATOR),
    Entry("POST", "/v2/runs/{run}/scores", [{"name": "good", "value": 1}], OPERATOR),
    Entry("POST", "/v1/checkpoint", endpoint(APP, 1), ADMIN),
    Entry("POST", "/v1/checkpoint", endpoint(ELSEWHERE, 2), ADMIN, changes=False),
    Entry("POST", "/v1/checkpoint/{run}/async", MEMO, ADMIN),
    Entry("DELETE", "/v1/runs/{run}", None, OPERATOR),
    Entry("POST", "/fn/register", registration("bank"), ADMIN),
    Entry("POST", "/v0/gql", gql('createApp(input: {url: "http://localhost:9/x"}) { id }'), ADMIN, calls=(APP,)),
    Entry("DELETE", "/v2/apps/bank", None, ADMIN),
    Entry("POST", "/v2/keys/events", {"name": "k"}, ADMIN),
    Entry("POST", "/v2/env/webhooks", {"name": "w", "transform": "{'name': 'x', 'data': body}"}, ADMIN),
    Entry("POST", "/v0/access/users", USER, ADMIN),
    Entry("PATCH", "/v0/access/users/eve", {"role": "operator"}, ADMIN),
    Entry("POST", "/v2/keys/signing/rotate", {}, ADMIN),
)


class Watched:
    """A whole server with an app, a run under way, and an eye on what goes out and what is stored."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.sent: list[tuple[str, bool]] = []
        self.rig.server._execution.client._begin = self._note  # type: ignore[method-assign]
        self.rig.request("POST", "/fn/register", json=registration("shop"), headers=bearer(KEY))
        self.event = self.rig.request("POST", f"/e/{EVENT_KEY}", json={"name": "go"}).json()["ids"][0]
        (run,) = self.rig.request("GET", f"/v1/events/{self.event}/runs", headers=bearer(KEY)).json()["data"]
        self.run: str = run["run_id"]
        self.caused(lambda: None)

    def _note(self, call: Call) -> None:
        """Take a request for the network: a call of a function is never answered, nobody is there for a ping."""
        self.sent.append((f"{call.target.host}:{call.target.port}", b"x-inngest-signature" in call.headers.lower()))
        if call.method == b"PUT":
            asyncio.get_running_loop().call_soon(call.done, CallFailure("nobody"))

    def caused(self, act: Any) -> tuple[Any, set[str], list[tuple[str, bool]]]:
        """Do something. Return its result, the tables that changed, and which hosts were called, signed or not."""
        self.sent.clear()
        before = self._state()
        result = act()
        self.rig.run(self._settle())
        after = self._state()
        return result, {name for name in after if after[name] != before[name]}, sorted(set(self.sent))

    async def _settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await self.rig.server.partition.committed()
        for _ in range(20):
            await asyncio.sleep(0)

    def _state(self) -> dict[str, list[tuple[Any, ...]]]:
        path = self.rig.server.partition.store.path  # type: ignore[attr-defined]
        with contextlib.closing(open_read_only(path)) as db:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names if name not in NOTES}

    def ask(self, entry: Entry, headers: dict[str, str]) -> int:
        body = msgspec.json.encode(entry.body).replace(b"{run}", self.run.encode())
        more = {} if entry.body is None else {"content": body}
        path = entry.path.replace("{run}", self.run)
        json = {"content-type": "application/json", "x-inngest-env": "dev"}
        return int(self.rig.request(entry.method, path, headers={**headers, **json}, **more).status_code)


@pytest.fixture(params=[None, *ROLES], ids=lambda role: role.word if role else "nobody")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Watched, Role | None]]:
    watched = Watched(tmp_path)
    yield watched, request.param
    watched.rig.close()


def test_what_a_role_can_cause(case: tuple[Watched, Role | None]) -> None:
    watched, role = case
    headers = watched.rig.token(role) if role else {}
    for entry in TABLE:
        allowed = role is not None and role >= entry.role
        status, changed, sent = watched.caused(lambda entry=entry: watched.ask(entry, headers))
        told = f"{entry.method} {entry.path} {entry.body}: {status}, {changed}, {sent}"
        assert bool(changed) is (allowed and entry.changes), told
        assert sent == ([(host, True) for host in entry.calls] if allowed else []), told


def test_an_event_key_starts_runs_and_changes_nothing_else(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for entry in TABLE:
        invokes = entry.path.startswith("/invoke/")
        _, changed, sent = watched.caused(lambda entry=entry: watched.ask(entry, bearer(EVENT_KEY)))
        assert (bool(changed), sent) == (invokes, [(APP, True)] if invokes else []), entry
    watched.rig.close()
