"""In-band sync: an app's answer to a ping that carries its functions (`protocol/execution.md` §1.7)."""

from __future__ import annotations

import msgspec
from msgspec import Raw


class _InBand(msgspec.Struct):
    app_id: str
    url: str
    functions: Raw
    sdk_language: str = ""
    sdk_version: str = ""
    framework: str | None = None
    app_version: str | None = msgspec.field(name="appVersion", default=None)


def registration_of(body: bytes) -> bytes:
    """The body as `POST /fn/register` would have brought it. Raises msgspec's errors."""
    answer = msgspec.json.decode(body, type=_InBand)
    version = answer.sdk_version if answer.sdk_version.startswith("v") else f"v{answer.sdk_version}"
    return msgspec.json.encode({
        "appName": answer.app_id,
        "url": answer.url,
        "functions": answer.functions,
        "sdk": f"{answer.sdk_language}:{version}",
        "framework": answer.framework or "",
        "appVersion": answer.app_version or "",
    })  # fmt: skip
