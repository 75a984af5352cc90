"""Operations that a self-hosted server doesn't offer: 501, after the reference's checks (http-apis.md §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from holdfast.server.api.rest.v2.envelope import Answer, RefusalError, Sent, Shown, missing, refused
from holdfast.server.api.rest.v2.operation import Method, Operation, runner

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend

_DESCRIPTION: Final = "Not available on a self-hosted server: always returns 501."


class Anything(Sent, forbid_unknown_fields=False):
    """Whatever comes is not looked at."""


class CreateEnv(Sent, forbid_unknown_fields=False):
    """An environment that is wished for."""

    name: Annotated[str, Meta(description="Its name.")] = ""


class Nothing(Shown):
    """No answer of this type is ever given."""


async def _create_env(_backend: Backend, given: CreateEnv) -> Answer:
    if not given.name:
        raise missing("Environment name is required")
    raise refused("Environments not implemented in OSS")


def _refusing(id: str, method: Method, path: str, refusal: RefusalError) -> Operation:
    async def refuse(_backend: Backend, _given: Anything) -> Answer:
        raise refusal

    return Operation(
        id=id, method=method, path=path, summary=id, description=_DESCRIPTION, request=Anything,
        run=runner(Anything, refuse), answer=Nothing, errors=(501,),
    )  # fmt: skip


_MESSAGES: Final[tuple[tuple[str, Method, str, tuple[str, ...]], ...]] = (
    ("CreatePartnerAccount", "POST", "/partner/accounts", ("Accounts", "Partners")),
    ("FetchPartnerAccounts", "GET", "/partner/accounts", ("Accounts",)),
    ("PatchEnv", "PATCH", "/envs/{id}", ("Environments",)),
    ("GetInsightsTables", "GET", "/insights/tables", ("Insights",)),
    ("GetInsightsEventSchemas", "GET", "/insights/events/schemas", ("Insights",)),
    ("QueryInsights", "POST", "/insights/query", ("Insights",)),
    ("PromptInsights", "POST", "/insights/query/prompt", ("Insights",)),
)  # fmt: skip

_SANDBOXES: Final[tuple[tuple[str, Method, str], ...]] = (
    ("CreateSandbox", "POST", ""),
    ("ListSandboxes", "GET", ""),
    ("GetSandbox", "GET", "/{id}"),
    ("DeleteSandbox", "DELETE", "/{id}"),
    ("ExecSandbox", "POST", "/{id}/exec"),
    ("GetSandboxLogs", "GET", "/{id}/logs"),
    ("ReadSandboxFile", "GET", "/{id}/files"),
    ("WriteSandboxFile", "PUT", "/{id}/files"),
    ("CreateSandboxProcess", "POST", "/{id}/processes"),
    ("ListSandboxProcesses", "GET", "/{id}/processes"),
    ("GetSandboxProcess", "GET", "/{id}/processes/{process_id}"),
    ("SignalSandboxProcess", "POST", "/{id}/processes/{process_id}/signals"),
    ("WaitSandboxProcess", "POST", "/{id}/processes/{process_id}/wait"),
    ("GetSandboxProcessOutput", "GET", "/{id}/processes/{process_id}/output"),
    ("StreamSandboxProcessOutput", "GET", "/{id}/processes/{process_id}/output/stream"),
)

OPERATIONS: Final = (
    Operation(
        id="CreateEnv", method="POST", path="/envs", summary="CreateEnv", description=_DESCRIPTION,
        request=CreateEnv, run=runner(CreateEnv, _create_env), answer=Nothing, required=("name",), errors=(501,),
    ),
    *(
        _refusing(id, method, path, refused(*(f"{what} not implemented in OSS" for what in family)))
        for id, method, path, family in _MESSAGES
    ),
    *(
        _refusing(
            id, method, f"/sandboxes{path}", RefusalError(501, "api_error", f"method {id} not implemented")
        )
        for id, method, path in _SANDBOXES
    ),
    _refusing("SchemaOnly", "GET", "/_internal/schema-only", refused("Schemas not implemented in OSS")),
)  # fmt: skip
