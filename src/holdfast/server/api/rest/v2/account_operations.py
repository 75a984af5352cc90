"""Health, the account and its one environment: a server of one's own has one of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.server.api.rest.v2.envelope import Answer, Page, Sent, Shown, page_size
from holdfast.server.api.rest.v2.fields import Cursor, Limit250
from holdfast.server.api.rest.v2.operation import Operation, runner

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend

ENVIRONMENT: Final = "dev"
_SINCE: Final = "2021-05-13T09:30:04Z"


class Health(Sent):
    """No parameters."""


class HealthStatus(Shown):
    """`ok`, if it answers at all."""

    status: str


class GetAccount(Sent):
    """No parameters."""


class Account(Shown):
    """The account that everything belongs to."""

    id: str
    email: str
    name: str
    created_at: str
    updated_at: str


class GetEnvs(Sent):
    """A page of environments."""

    cursor: Cursor = ""
    limit: Limit250 | None = None


class Environment(Shown):
    """An environment."""

    id: str
    name: str
    type: str
    created_at: str
    is_archived: bool = False


async def _health(_backend: Backend, _given: Health) -> Answer:
    return Answer(HealthStatus(status="ok"))


async def _account(_backend: Backend, _given: GetAccount) -> Answer:
    account = Account(id=ACCOUNT_ID, email="dev@inngest.local", name="Dev Server", created_at=_SINCE, updated_at=_SINCE)
    return Answer(account)


async def _envs(_backend: Backend, given: GetEnvs) -> Answer:
    page_size(given.limit, 250)
    only = Environment(id=ENV_ID, name=ENVIRONMENT, type="TEST", created_at=_SINCE)
    return Answer([only] if not given.cursor else [], Page())


OPERATIONS: Final = (
    Operation(
        id="Health", method="GET", path="/health", summary="Health check", description="Check that the API responds.",
        request=Health, run=runner(Health, _health), answer=HealthStatus, tool="health", command="health",
    ),
    Operation(
        id="FetchAccount", method="GET", path="/account", summary="Get account",
        description="Get the account that owns everything on this server.",
        request=GetAccount, run=runner(GetAccount, _account), answer=Account, command="get-account",
    ),
    Operation(
        id="FetchAccountEnvs", method="GET", path="/envs", summary="Get environments",
        description="List the environments: a self-hosted server has one.",
        request=GetEnvs, run=runner(GetEnvs, _envs), answer=list[Environment], paged=True, command="get-account-envs",
    ),
)  # fmt: skip
