"""HTTP exchanges that the server makes for a run: `step.ai.infer`, `step.fetch` (`protocol/execution.md` §4.10)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
import structlog
from msgspec import Raw

from holdfast.protocol.opcodes import Op, Opcode
from holdfast.protocol.rawjson import valid
from holdfast.server.drivers.http import Answer, HttpClient
from holdfast.server.engine.changes import Perform
from holdfast.server.engine.engine import DefectError
from holdfast.server.engine.gateway import Result
from holdfast.server.model.job import Job
from holdfast.server.model.span import Call
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.runtime.relay import Relay, Where
from holdfast.server.store.store import StoreError

log = structlog.get_logger(__name__)
_json = msgspec.json.encode


class _Opts(msgspec.Struct):
    url: str = ""
    method: str | None = None
    headers: dict[str, str | list[str]] | None = None
    auth_key: str | None = None
    format: str | None = None
    body: Raw = Raw()
    publish: Where | None = None


class Gateways:
    """Performs gateway steps and hands their results to the engine."""

    def __init__(self, partition: Partition, client: HttpClient, broadcaster: Broadcaster) -> None:
        self._partition = partition
        self._client = client
        self._broadcaster = broadcaster
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        """Return how many exchanges are under way."""
        return len(self._tasks)

    def perform(self, effect: Perform) -> None:
        """Start the exchange of a gateway step."""
        task = asyncio.ensure_future(self._run(effect))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.on_end()

    async def close(self) -> None:
        """Drop the exchanges under way: they are made again after the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, effect: Perform) -> None:
        job, op, started = effect.job, effect.op, self._partition.now()
        exchange = _infer if op.op is Opcode.AI_GATEWAY else _fetch
        try:
            opts = msgspec.json.decode(op.opts or b"{}", type=_Opts)
            output, failed, answer = await exchange(self._client, opts, self._relay(effect, opts))
        except Exception as error:  # noqa: BLE001 - an exchange that fails in any way must end its step
            output, failed, answer = _failure(op, str(error)), True, None
        result = Result(output, failed, _call(job, started, self._partition.now(), answer))
        with contextlib.suppress(NotAliveError, DefectError, StoreError):  # after a reload the exchange is made again
            self._partition.give_run(job.run_id, lambda engine, _, now: engine.on_gateway(job, op, result, now))

    def _relay(self, effect: Perform, opts: _Opts) -> Relay | None:
        where = opts.publish
        if where is None or not (where.channel and where.topic):
            return None
        return Relay(self._broadcaster, where, effect.job.run_id, effect.op.id, opts.url)


async def _infer(client: HttpClient, opts: _Opts, relay: Relay | None) -> tuple[bytes, bool, Answer]:
    """Ask a model provider. Any status above 299 is a failure."""
    url, headers = _authorised(opts)
    answer = await _exchange(client, relay, "POST", url, headers, bytes(opts.body))
    body = valid(answer.body)
    if answer.status > 299:
        message = f"Error making AI request: unsuccessful status code: {answer.status}"
        return _error("AIGatewayError", message, answer.body, body), True, answer
    if not answer.body:
        return _error("AIGatewayError", "Error making AI request"), True, answer
    return b'{"data":' + (body or _text(answer.body)) + b"}", False, answer


async def _fetch(client: HttpClient, opts: _Opts, relay: Relay | None) -> tuple[bytes, bool, Answer]:
    """Make any request: every status is a success."""
    answer = await _exchange(client, relay, opts.method or "POST", opts.url, _pairs(opts.headers), _sent(opts.body))
    data = {
        "body": answer.body.decode("utf-8", "replace"),
        "headers": {_canonical(name): value for name, value in sorted(answer.headers.items())},
        "status_code": answer.status,
        "url": opts.url,
    }
    return b'{"data":' + _json(data) + b"}", False, answer


async def _exchange(
    client: HttpClient, relay: Relay | None, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> Answer:
    """Make the request, with header names as HTTP/1.1 writes them; if its answer shall be heard elsewhere, end that."""
    headers = [(_canonical(name), value) for name, value in headers]
    if relay is None:
        return await client.fetch(method, url, headers, body)
    try:
        answer = await client.fetch(method, url, headers, body, heard=relay.heard)
    except BaseException:
        relay.end(None)
        raise
    relay.end(answer)
    return answer


def _authorised(opts: _Opts) -> tuple[str, list[tuple[str, str]]]:
    """Return the provider's URL and headers, with the key where its API wants it."""
    key, url = opts.auth_key or "", opts.url
    headers = [("content-type", "application/json"), *_pairs(opts.headers)]
    if not key:
        return url, headers
    if opts.format == "gemini":
        parts = urlsplit(url)
        query = "&".join(filter(None, (parts.query, urlencode({"key": key}))))
        url = urlunsplit(parts._replace(query=query))
    elif opts.format == "anthropic":
        headers.append(("x-api-key", key))
    elif opts.format == "bedrock":
        headers.append(("authorization", key))
    else:
        headers.append(("authorization", f"Bearer {key}"))
    return url, headers


def _pairs(headers: dict[str, str | list[str]] | None) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in (headers or {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _sent(body: Raw) -> bytes:
    """`opts.body` is a string: what it holds is sent as it is."""
    raw = bytes(body)
    if raw[:1] != b'"':
        return b"" if raw == b"null" else raw
    return msgspec.json.decode(raw, type=str).encode()


def _failure(op: Op, cause: str) -> bytes:
    if op.op is Opcode.AI_GATEWAY:
        return _error("AIGatewayError", f"Error making AI request: {cause}")
    return _error("GatewayError", f"Error making gateway request: {cause}")


def _error(name: str, message: str, stack: bytes = b"", data: bytes | None = None) -> bytes:
    error: dict[str, object] = {"name": name, "message": message}
    if stack:
        error["stack"] = stack.decode("utf-8", "replace")
        error["data"] = Raw(data or _text(stack))
    return _json({"error": error})


def _text(body: bytes) -> bytes:
    return _json(body.decode("utf-8", "replace"))


def _canonical(name: str) -> str:
    """Write a header's name as Go and many servers do: `X-Api-Key`."""
    return "-".join(part.capitalize() for part in name.split("-"))


def _call(job: Job, started: int, ended: int, answer: Answer | None) -> Call:
    status, headers, size = (answer.status, answer.headers, len(answer.body)) if answer else (0, {}, 0)
    return Call(job.id, "", job.queued_at, job.due, started, ended, job.attempt, status, headers, size)
