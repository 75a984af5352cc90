"""What apps answer, written as SDKs write it: answers go through the real codec."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

SDK = {"x-inngest-sdk": "inngest-test:v1.0.0"}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer of an app."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def hashed(step: str) -> str:
    return hashlib.sha1(step.encode(), usedforsecurity=False).hexdigest()


def ops(*items: dict[str, Any], version: int | None = 2, **headers: str) -> Reply:
    """A 206 with these ops. Keyword `no_retry="true"` becomes `x-inngest-no-retry`, `retry_after` `retry-after`."""
    given = _headers(headers)
    if version is not None:
        given["x-inngest-req-version"] = str(version)
    return Reply(206, json.dumps(items).encode(), given)


def returns(value: Any = None, **headers: str) -> Reply:
    return Reply(200, json.dumps(value).encode(), _headers(headers))


def throws(message: str = "boom", status: int = 500, **headers: str) -> Reply:
    body = {"name": "Error", "message": message}
    return Reply(status, json.dumps(body).encode(), _headers(headers))


def _headers(given: dict[str, str]) -> dict[str, str]:
    names = {"no_retry": "x-inngest-no-retry", "retry_after": "retry-after"}
    return {**SDK, **{names.get(name, name): value for name, value in given.items()}}


# --- ops --------------------------------------------------------------------------------------------------------------


def op(code: str, step: str, *, race: bool = False, opts: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    options = {**(opts or {}), **({"parallelMode": "race"} if race else {})}
    return {"op": code, "id": hashed(step), "displayName": step, "opts": options or None, **more}


def ran(step: str, data: Any = None, **more: Any) -> dict[str, Any]:
    return op("StepRun", step, data=data, **more)


def planned(step: str, **more: Any) -> dict[str, Any]:
    return op("StepPlanned", step, **more)


def failing(step: str, message: str = "boom", **more: Any) -> dict[str, Any]:
    return op("StepError", step, error={"name": "Error", "message": message}, **more)


def failed(step: str, message: str = "boom", **more: Any) -> dict[str, Any]:
    return op("StepFailed", step, error={"name": "Error", "message": message}, **more)


def sleep(step: str, duration: str | None = "1h", **more: Any) -> dict[str, Any]:
    return op("Sleep", step, name=duration, **more)


def wait(step: str, event: str, timeout: str = "1h", condition: str | None = None, **more: Any) -> dict[str, Any]:
    return op("WaitForEvent", step, name=event, opts={"timeout": timeout, "if": condition}, **more)


def signal(step: str, name: str, timeout: str = "1h", conflict: str | None = "fail", **more: Any) -> dict[str, Any]:
    return op("WaitForSignal", step, opts={"signal": name, "timeout": timeout, "conflict": conflict}, **more)


def invoke(step: str, target: str, data: Any = None, timeout: str | None = None, **more: Any) -> dict[str, Any]:
    payload = {"data": data, **more.pop("payload", {})}
    return op("InvokeFunction", step, opts={"function_id": target, "payload": payload, "timeout": timeout}, **more)


def fetch(step: str, url: str = "http://example.com", **more: Any) -> dict[str, Any]:
    return op("Gateway", step, opts={"url": url, "method": "GET"}, **more)


def complete(data: Any = None) -> dict[str, Any]:
    return {"op": "RunComplete", "id": hashed("complete"), "data": data}


def defer(step: str, target: str = "app-later", given: Any = None, **opts: Any) -> dict[str, Any]:
    given = {"n": 1} if given is None else given
    return op("DeferAdd", step, opts={"fn_slug": target, "input": given, **opts}, userland={"id": step})


def undefer(step: str, target: str) -> dict[str, Any]:
    return op("DeferAbort", step, opts={"target_hashed_id": hashed(target)})
