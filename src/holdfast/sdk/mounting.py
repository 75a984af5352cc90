"""What framework modules share: the arguments of `serve`, and requests made of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from holdfast.sdk import env
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.handler import CommHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Framework, Streaming
    from holdfast.sdk.function import Function


@dataclasses.dataclass
class Mount:
    """A handler, and where it is served."""

    handler: CommHandler
    public_path: str | None = None
    serve_origin: str | None = None
    serve_path: str | None = None

    @property
    def path(self) -> str:
        """The path of its route."""
        return env.route(self.serve_path)

    def request(
        self, *, body: bytes, headers: Mapping[str, Any], query: Mapping[str, Any], raw: object, url: str
    ) -> CommRequest:
        """Return a request of the framework in the handler's form."""
        return CommRequest(body, headers, query, raw, url, self.public_path, self.serve_origin, self.serve_path)


def mount(
    framework: Framework,
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None,
    public_path: str | None,
    serve_origin: str | None,
    serve_path: str | None,
    streaming: Streaming | bool | None = None,
) -> Mount:
    """Make the handler of a framework's route."""
    handler = CommHandler(
        client=client,
        framework=framework,
        functions=functions,
        enable_unauthed_sync=enable_unauthed_sync,
        streaming=streaming,
    )
    return Mount(handler, public_path, serve_origin, serve_path)
