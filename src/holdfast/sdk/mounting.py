"""What framework modules share: the arguments of `serve`, and requests made of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from holdfast.sdk import env
from holdfast.sdk.answers import CommRequest, CommResponse, json_response
from holdfast.sdk.handler import CommHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

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
    max_body_bytes: int = dataclasses.field(default_factory=env.max_body_bytes)

    def refuses(self, size: int | str | None) -> bool:
        """Whether a body is too large, by its size or by what a header says of it."""
        return size is not None and str(size).isdigit() and int(size) > self.max_body_bytes

    def too_large(self) -> CommResponse:
        """Answer to a body that is too large."""
        text = f"the body is larger than {self.max_body_bytes} bytes; HOLDFAST_MAX_BODY_BYTES allows more"
        return json_response({"code": "body_too_large", "message": text, "name": "BodyTooLargeError"}, 413)

    async def read(self, pieces: AsyncIterator[bytes], size: str | None) -> bytes | None:
        """Return a body that comes in pieces; None if it is too large, and then the rest is left unread."""
        found = bytearray()
        if self.refuses(size):
            return None
        async for piece in pieces:
            found += piece
            if self.refuses(len(found)):
                return None
        return bytes(found)

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
