"""A function's configuration as the server keeps and shows it (`protocol/http-apis.md` §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.function_decode import Fields, decode_function

if TYPE_CHECKING:
    from holdfast.protocol.function_config import Concurrency, ConcurrencyLimit, FunctionConfig, Step, Trigger


def stored_config(fn: FunctionConfig, function_uuid: str, version: int) -> bytes:
    """Write a function's JSON: GraphQL's `Function.config`, `functions` of `GET /dev`, and the stored row."""
    parts: dict[str, object] = {"id": function_uuid, "fv": version, "name": fn.name, "slug": fn.slug}
    parts |= _flow_before_triggers(fn)
    parts["triggers"] = [_trigger(trigger) for trigger in fn.triggers]
    parts |= _flow_after_triggers(fn)
    parts["steps"] = [_step(step) for step in fn.steps]
    return _escape_html(msgspec.json.encode(parts))


def load_config(stored: bytes) -> FunctionConfig:
    """Read what `stored_config` wrote; the UUID and the version are for the row to know."""
    parts: dict[str, object] = msgspec.json.decode(stored, type=dict[str, object])
    steps = msgspec.convert(parts["steps"], list[dict[str, object]])
    registered = {**parts, "id": parts["slug"], "steps": {str(step["id"]): _registered_step(step) for step in steps}}
    return decode_function(Fields(registered, "SDKFunction"))


def _registered_step(step: dict[str, object]) -> dict[str, object]:
    return {
        "id": step["id"],
        "name": step["name"],
        "runtime": {"url": step.get("uri")},
        "retries": {"attempts": step.get("retries")},
    }


def _flow_before_triggers(fn: FunctionConfig) -> dict[str, object]:
    parts: dict[str, object] = {}
    if fn.priority:
        parts["priority"] = {"run": fn.priority}
    if fn.timeouts:
        parts["timeouts"] = _present(start=fn.timeouts.start, finish=fn.timeouts.finish)
    if fn.concurrency.declared:
        parts["concurrency"] = _concurrency(fn.concurrency)
    if fn.debounce:
        debounce = fn.debounce
        parts["debounce"] = (
            _present(key=debounce.key) | {"period": debounce.period} | _present(timeout=debounce.timeout)
        )
    if fn.checkpoint:
        point = fn.checkpoint
        parts["checkpoint"] = _present(
            batch_steps=point.batch_steps, batch_interval=point.batch_interval, max_runtime=point.max_runtime
        )
    return parts


def _flow_after_triggers(fn: FunctionConfig) -> dict[str, object]:
    parts: dict[str, object] = {}
    if batch := fn.batch:
        sizes = {"maxSize": batch.max_size, "timeout": batch.timeout}
        parts["batchEvents"] = sizes | _present(key=batch.key) | ({"if": batch.condition} if batch.condition else {})
    if rate := fn.rate_limit:
        parts["rateLimit"] = {"limit": rate.limit, "period": rate.period} | _present(key=rate.key)
    if throttle := fn.throttle:
        head = {"burst": throttle.burst} | _present(key=throttle.key)
        parts["throttle"] = head | {"limit": throttle.limit, "period": throttle.period}
    if fn.cancel:
        parts["cancel"] = [
            {"event": cancel.event}
            | _present(timeout=cancel.timeout)
            | ({"if": cancel.condition} if cancel.condition else {})
            for cancel in fn.cancel
        ]
    if fn.singleton:
        parts["singleton"] = _present(key=fn.singleton.key) | {"mode": fn.singleton.mode}
    return parts


def _concurrency(concurrency: Concurrency) -> object:
    steps = [_limit(limit) for limit in concurrency.steps]
    return {"fn": [_limit(limit) for limit in concurrency.runs], "step": steps} if concurrency.runs else steps


def _limit(limit: ConcurrencyLimit) -> dict[str, object]:
    return {"limit": limit.limit} | _present(key=limit.key) | {"scope": limit.scope, "hash": limit.hash}


def _trigger(trigger: Trigger) -> dict[str, object]:
    if trigger.cron is not None:
        return {"cron": trigger.cron} | _present(jitter=trigger.jitter, catchUp=trigger.catch_up)
    return {"event": trigger.event or ""} | _present(expression=trigger.expression)


def _step(step: Step) -> dict[str, object]:
    parts: dict[str, object] = {"id": step.id, "name": step.name, "uri": step.url or ""}
    return parts if step.retries is None else parts | {"retries": step.retries}


def _present(**parts: object) -> dict[str, object]:
    return {key: value for key, value in parts.items() if value not in (None, "")}


def _escape_html(json: bytes) -> bytes:
    # As Go writes JSON by default; none of these can stand outside a string.
    for char, escape in ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e")):
        json = json.replace(char, escape)
    return json.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")
