"""A scripted SDK that answers calls as the official ones do. It has no state: its answer depends on the call alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .program import ALWAYS, Node, Program, hashed, walk

SDK = "inngest-simulated:v1.0.0"
Op = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What the SDK sees of a call."""

    run_id: str
    step: str  # hashed id, "" for a discovery
    attempt: int
    max_attempts: int
    plan: bool  # `disable_immediate_execution`
    deferred: frozenset[str]  # defers that the server knows
    memo: Mapping[str, bytes]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """What comes of a call: checkpoints while it is open, then the answer. `executed` are the steps that it runs."""

    checkpoints: list[Op]
    reply: list[Op] | Reply
    executed: list[Node]


def value(node: Node) -> dict[str, str]:
    return {"of": node.id}


def answer(program: Program, asked: Asked) -> Script:
    if asked.step:
        return _targeted(program, asked)
    if program.checkpoints and not asked.plan and asked.attempt == 0:
        return _checkpointing(program, asked)
    return _discovery(program, asked)


def reply_of(program: Program, ops: list[Op]) -> Reply:
    headers = {"x-inngest-sdk": SDK, "x-inngest-req-version": str(program.version)}
    return Reply(206, json.dumps(ops).encode(), headers)


def _targeted(program: Program, asked: Asked) -> Script:
    node = next((n for n in walk(program, asked.memo).found if n.hash == asked.step), None)
    if node is None:
        return Script([], _error(500, f"Could not find step {asked.step}"), [])
    return Script([], [_run(node, asked.attempt)], [node])


def _discovery(program: Program, asked: Asked) -> Script:
    way = walk(program, asked.memo)
    lazy = _defers(program, asked)
    if way.thrown:
        return Script([], _thrown(program, way.thrown), [])
    if way.done:
        if lazy:
            return Script([], [*lazy, _complete(program)], [])
        return Script([], Reply(200, json.dumps({"done": program.slug}).encode(), {"x-inngest-sdk": SDK}), [])
    if len(way.found) == 1 and way.found[0].kind == "run" and not asked.plan:
        return Script([], [*lazy, _run(way.found[0], asked.attempt)], way.found)
    return Script([], [*lazy, *(_report(node, asked.run_id) for node in way.found)], [])


def _checkpointing(program: Program, asked: Asked) -> Script:
    """Runs on in the same call, reporting each step as it is done."""
    memo, saved, executed = dict(asked.memo), list[Op](), list[Node]()
    while True:
        way = walk(program, memo)
        if way.thrown or len(way.found) != 1 or way.found[0].kind != "run" or way.found[0].fails or len(saved) > 2:
            break
        (node,) = way.found
        saved.append(_run(node, 0))
        executed.append(node)
        memo[node.hash] = b'{"data":0}'
    if way.thrown:
        return Script(saved, _thrown(program, way.thrown), executed)
    lazy = _defers(program, asked)
    if way.done:
        return Script(saved, [*lazy, _complete(program)], executed)
    if len(way.found) == 1 and way.found[0].kind == "run":
        node = way.found[0]
        return Script(saved, [*lazy, _run(node, asked.attempt)], [*executed, node])
    return Script(saved, [*lazy, *(_report(node, asked.run_id) for node in way.found)], executed)


def report_of_endpoint(program: Program, memo: Mapping[str, bytes], run_id: str) -> tuple[list[Op], bool]:
    """What a process that drives its run reports next, and whether it goes on after that."""
    way = walk(program, memo)
    if way.done or way.thrown:
        status = 500 if way.thrown else 200
        return [
            {"op": "RunComplete", "id": hashed("complete"), "data": {"data": {"status": status, "body": ""}}}
        ], False
    if len(way.found) == 1 and way.found[0].kind == "run":
        (node,) = way.found
        return [_run(node, 0)], not node.fails
    return [_report(node, run_id) for node in way.found], False


def signal_name(node: Node, run_id: str) -> str:
    return node.id if node.shared else f"{node.id}.{run_id}"


def _run(node: Node, attempt: int) -> Op:
    op = _op("StepRun", node)
    if attempt < node.fails:
        failed = node.fails == ALWAYS and node.id.endswith(("1", "3"))
        op["op"] = "StepFailed" if failed else "StepError"
        op["error"] = {"name": "Error", "message": node.id}
    else:
        op["data"] = value(node)
    return op


def _report(node: Node, run_id: str) -> Op:
    if node.kind == "run":
        return _op("StepPlanned", node)
    if node.kind == "sleep":
        return _op("Sleep", node, name=node.text)
    if node.kind == "wait":
        condition = "event.data.k == async.data.k"
        return _op("WaitForEvent", node, {"timeout": node.timeout, "if": condition}, name=node.text)
    if node.kind == "signal":
        return _op(
            "WaitForSignal", node, {"signal": signal_name(node, run_id), "timeout": node.timeout, "conflict": "replace"}
        )
    if node.kind == "invoke":
        opts = {"function_id": node.text, "payload": {"data": {"k": 0}}, "timeout": node.timeout or None}
        return _op("InvokeFunction", node, opts)
    return _op("Gateway", node, {"url": "http://example.com", "method": "GET"})


def _op(code: str, node: Node, opts: Op | None = None, **more: Any) -> Op:
    options = {**(opts or {}), **({"parallelMode": "race"} if node.race else {})}
    return {"op": code, "id": node.hash, "displayName": node.id, "opts": options or None, **more}


def _defers(program: Program, asked: Asked) -> list[Op]:
    return [
        {"op": "DeferAdd", "id": hashed(d), "opts": {"fn_slug": "app-deferred", "input": {"d": d}}}
        for d in program.defers
        if hashed(d) not in asked.deferred
    ]


def _complete(program: Program) -> Op:
    return {"op": "RunComplete", "id": hashed("complete"), "data": {"done": program.slug}}


def _thrown(program: Program, why: str) -> Reply:
    final = {"x-inngest-no-retry": "true"} if why != "at the end" else {}
    return _error(400 if final else 500, why, **final)


def _error(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"name": "Error", "message": message}).encode()
    return Reply(status, body, {"x-inngest-sdk": SDK, **headers})
