"""`/debug`: what the process is doing right now. For admins; costs nothing until somebody asks.

`/debug/engine` and `/debug/vars` are JSON, `/debug/tasks` and `/debug/memory` text; `/debug/profile?seconds=5` samples
the event loop's stack from a thread, `&format=collapsed` is for flame graphs.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import io
import os
import platform
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from types import FrameType
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.api.operators.metrics import Metrics
from holdfast.server.engine.census import Census
from holdfast.server.engine.view import View
from holdfast.server.runtime.partition import Partition

_MOST_SECONDS: Final = 60.0
_SAMPLES_PER_S: Final = 200
_MOST_KEYS: Final = 50
_MOST_TYPES: Final = 40
_SHOWN_STACKS: Final = 25
_SHOWN_TURNS: Final = 10


class Debug:
    """The routes of `/debug`. `settings` are the configuration's values, secrets masked."""

    def __init__(self, partition: Partition, metrics: Metrics, settings: Mapping[str, object]) -> None:
        self._partition = partition
        self._metrics = metrics
        self._settings = settings
        self._loop_thread = threading.get_ident()
        self._profiling = self._watching = False
        self._started = time.monotonic()

    def routes(self) -> list[ApiRoute]:
        """Return the routes."""
        pages = {
            "/debug": self.index, "/debug/": self.index, "/debug/engine": self.engine, "/debug/tasks": self.tasks,
            "/debug/vars": self.variables, "/debug/memory": self.memory, "/debug/profile": self.profile,
            "/debug/loop": self.loop,
        }  # fmt: skip
        return [ApiRoute(path, page, methods=["GET"]) for path, page in pages.items()]

    async def index(self, _: Request) -> Response:
        """List the pages below /debug."""
        return PlainTextResponse(
            "/debug/engine   counts, queue, keys, waits, timers (JSON)\n"
            "/debug/tasks    asyncio tasks and threads with their stacks\n"
            "/debug/profile  where the event loop spends its time: ?seconds=5&format=text|collapsed\n"
            "/debug/loop     how long the event loop is held between two turns: ?seconds=5 (JSON)\n"
            "/debug/memory   objects by type\n"
            "/debug/vars     process and configuration (JSON)\n"
        )

    async def engine(self, _: Request) -> Response:
        """Return the engine's state in numbers."""
        partition = self._partition
        census = await self._metrics.census()
        view, trouble = partition.look(), partition.trouble
        found: dict[str, object] = {
            "partition": {
                "trouble": str(trouble) if trouble is not None else None, "failures": partition.failures,
                "commits": partition.commits, "epoch": partition.store.epoch,
                "deferred_syncs": partition.store.deferred, "wal_pages": partition.store.log_pages,
            }
        }  # fmt: skip
        return json_response(found | _engine(view, census, self._partition.now()) if view is not None else found)

    async def tasks(self, _: Request) -> Response:
        """Return every task and thread, with its stack."""
        out = io.StringIO()
        tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
        out.write(f"{len(tasks)} tasks\n")
        for task in tasks:
            out.write("\n")
            task.print_stack(file=out)
        frames = sys._current_frames()  # noqa: SLF001 - what it is for
        out.write(f"\n{len(frames)} threads\n")
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            out.write(f"\n{thread.name}{' (daemon)' if thread.daemon else ''}\n")
            out.writelines(traceback.format_stack(frame) if frame is not None else ())
        return PlainTextResponse(out.getvalue())

    async def variables(self, _: Request) -> Response:
        """Return the process and its configuration."""
        return json_response(
            {
                "pid": os.getpid(), "python": platform.python_version(), "platform": platform.platform(),
                "uptime_s": round(time.monotonic() - self._started, 1), "threads": threading.active_count(),
                "loop": type(asyncio.get_running_loop()).__module__, "gc": gc.get_stats(), "config": self._settings,
            }
        )  # fmt: skip

    async def memory(self, _: Request) -> Response:
        """Objects that the collector knows, by type. Structs without cycles (`gc=False`) are not among them."""
        counts = await asyncio.to_thread(lambda: Counter(type(o).__qualname__ for o in gc.get_objects()))
        lines = [f"{count:>10}  {name}" for name, count in counts.most_common(_MOST_TYPES)]
        return PlainTextResponse("\n".join([f"{counts.total():>10}  objects", *lines, ""]))

    async def loop(self, request: Request) -> Response:
        """How much CPU time the loop's thread spends between two turns: what holds it, whoever else uses the cores."""
        seconds = _seconds(request)
        if seconds is None:
            return public_error(400, "seconds is a number up to 60")
        if self._watching:
            return public_error(409, "the loop is being watched; try again when it is done")
        self._watching = True
        try:
            return json_response(await _watch_turns(seconds))
        finally:
            self._watching = False

    async def profile(self, request: Request) -> Response:
        """Samples the event loop's stack for some seconds."""
        seconds, form = _seconds(request), request.query_params.get("format", "text")
        if seconds is None or form not in {"text", "collapsed"}:
            return public_error(400, "seconds is a number up to 60, format is text or collapsed")
        if self._profiling:
            return public_error(409, "a profile is being taken; try again when it is done")
        self._profiling = True
        try:
            stacks = await asyncio.to_thread(_sample, self._loop_thread, seconds)
        finally:
            self._profiling = False
        return PlainTextResponse(_collapsed(stacks) if form == "collapsed" else _report(stacks, seconds))


def _seconds(request: Request) -> float | None:
    """Return the parameter `seconds`, 5 without it; None if it is no number of (0, 60]."""
    try:
        seconds = float(request.query_params.get("seconds", "5"))
    except ValueError:
        return None
    return seconds if 0 < seconds <= _MOST_SECONDS else None


async def _watch_turns(seconds: float) -> dict[str, object]:
    """Run turn after turn for some seconds, and report the longest ones (ms of this thread's CPU time)."""
    turns, longest, end = 0, [0.0] * _SHOWN_TURNS, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.thread_time()
        await asyncio.sleep(0)
        heapq.heappushpop(longest, (time.thread_time() - began) * 1e3)
        turns += 1
    return {"seconds": seconds, "turns": turns, "longest_ms": [round(ms, 2) for ms in sorted(longest, reverse=True)]}


def _engine(view: View, census: Census, now: int) -> dict[str, object]:
    gauges, held, blocked = view.gauges(), view.held_keys(), view.blocked_keys()
    due = gauges.next_due
    return {
        "runs": census.runs,
        "jobs": {**census.jobs, "oldest_ready_ms": now - census.oldest},
        "waits": census.pauses,
        "timers": {"count": gauges.timers, "next_in_ms": due - now if due is not None else None},
        "queue": {
            "workers": gauges.workers, "free": gauges.free, "waiting": gauges.waiting, "leases": gauges.leases,
        },
        "keys": {
            "held": {key: n for n, key in held[:_MOST_KEYS]}, "held_keys": len(held),
            "blocked": {key: n for n, key in blocked[:_MOST_KEYS]}, "blocked_keys": len(blocked),
        },
        "flow": {
            "debounces": gauges.debounces, "batches": gauges.batches, "paused": gauges.paused,
            "capacities": gauges.capacities, "cancellations": gauges.cancellations,
        },
        "functions": gauges.functions,
    }  # fmt: skip


Stacks = Counter[tuple[str, ...]]


def _sample(thread: int, seconds: float) -> Stacks:
    """Stacks of a thread, outermost frame first, with how often each was seen."""
    stacks: Stacks = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - what it is for
        if frame is not None:
            stacks[_stack(frame)] += 1
        time.sleep(1 / _SAMPLES_PER_S)
    return stacks


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    names: list[str] = []
    while frame is not None:
        names.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(reversed(names))


def _collapsed(stacks: Stacks) -> str:
    """One stack a line with its count, as flame graph tools read it; without lines, which would tear frames apart."""
    merged: Stacks = Counter()
    for stack, count in stacks.items():
        merged[tuple(name.rpartition(":")[0] for name in stack)] += count
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in merged.most_common())


def _report(stacks: Stacks, seconds: float) -> str:
    total = stacks.total() or 1
    lines = [f"{stacks.total()} samples of the event loop's thread in {seconds:g} s", "", "innermost frame"]
    inner: Counter[str] = Counter()
    for stack, count in stacks.items():
        inner[stack[-1]] += count
    lines += [f"{count / total:>7.1%}  {name}" for name, count in inner.most_common(_SHOWN_STACKS)]
    for stack, count in stacks.most_common(_SHOWN_STACKS):
        lines += ["", f"{count / total:.1%}", *(f"    {name}" for name in stack)]
    return "\n".join([*lines, ""])
