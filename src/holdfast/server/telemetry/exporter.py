"""Sends the traces of runs that ended to the user's collector, beside everything else.

A run that ends leaves its id in a bounded queue; that is all that the engine's thread does for it. From there a task
takes ids, reads the runs from the store, and hands them to a thread that encodes and sends them. While the collector is
away the batch in hand is tried again, ever more rarely; ids that find the queue full are counted and forgotten. What is
not sent when the server ends is not sent at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from holdfast import __version__
from holdfast.protocol.events import INVOKED
from holdfast.protocol.tracing import SAMPLED, load_context, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from holdfast.protocol.tracing import TraceContext
    from holdfast.server.store.history import History, RunTrace, StoredRun
    from holdfast.server.telemetry.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: How many runs are read together.
RUNS: Final = 64
RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0
#: After so many failures a batch is given up: the collector may refuse just this one.
TRIES: Final = 8
#: How long the end of the server may wait for what is to be sent; less where the collector was away anyway.
FLUSH_S: Final = 5.0
FLUSH_AWAY_S: Final = 1.0


class TraceExporter:
    """Sends traces. Made on the event loop's thread, as all calls are; `make_sender` is called in its own thread."""

    def __init__(
        self, settings: Settings, history: History, make_sender: Callable[[Settings], SpanExporter] | None = None
    ) -> None:
        self.exported = 0  # runs
        self.dropped = 0  # runs
        self._settings = settings
        self._history = history
        self._make_sender = make_sender or _make_sender
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()  # there is something to send
        self._hurry = asyncio.Event()  # and no reason to wait for more
        self._closing = asyncio.Event()
        self._full = False
        self._away = False
        self._in_hand = 0  # runs that are being read and sent
        self._thread = _Thread("traces-out")
        self._sender: SpanExporter | None = None
        self._resource: Resource | None = None
        self._words = _Words()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send what comes."""
        log.info("exporting traces", exporter=self._settings.exporter, endpoint=self._settings.endpoint)
        self._task = asyncio.ensure_future(self._work())

    def ended(self, run_ids: Iterable[str]) -> None:
        """Takes runs whose end is durable."""
        queue, most = self._queue, self._settings.queue
        for run_id in run_ids:
            if len(queue) < most:
                queue.append(run_id)
                continue
            self.dropped += 1
            if not self._full:
                self._full = True
                log.warning("traces are dropped: the queue of runs to send is full", queue=most)
        if queue:
            self._wake.set()
        if len(queue) >= self._settings.batch:
            self._hurry.set()

    async def close(self) -> None:
        """Sends what waits, for a few seconds at most, and stops."""
        if self._task is None:
            return
        for event in (self._closing, self._hurry, self._wake):
            event.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, FLUSH_AWAY_S if self._away else FLUSH_S)
        if self._sender is not None:
            self._sender.shutdown()
        left = len(self._queue) + self._in_hand
        self.dropped += left
        if left:
            log.warning("some traces were not sent before shutdown", runs=left, reason=self._words.last)
        self._thread.close()

    async def _work(self) -> None:
        while not (self._closing.is_set() and not self._queue):
            await self._wake.wait()
            await _pause(self._hurry, self._settings.delay)
            self._wake.clear()
            if not self._closing.is_set():
                self._hurry.clear()
            while self._queue:
                try:
                    await self._next()
                except Exception as error:  # noqa: BLE001 - sending out is nobody's reason to fail
                    log.error("traces could not be read", runs=self._in_hand, error=repr(error))
                    self.dropped, self._in_hand = self.dropped + self._in_hand, 0

    async def _next(self) -> None:
        ids = [self._queue.popleft() for _ in range(min(RUNS, len(self._queue)))]
        self._full, self._in_hand = False, len(ids)
        traces = [trace for trace in (await self._history.traces(ids)).values() if self._takes(trace.run)]
        self._in_hand = len(traces)
        functions = await self._history.functions_by_id({trace.run.function_id for trace in traces})
        slugs = {id: function.slug for id, function in functions.items()}
        senders = await self._senders(trace.run for trace in traces)
        if traces and await self._send(traces, slugs, senders):
            self.exported += len(traces)
        self._in_hand = 0

    def _takes(self, run: StoredRun) -> bool:
        sender = run.detail.trace
        # A run that another one invoked is decided as that one is: by the trace that both are of.
        decided = bool(sender.flags & SAMPLED) if sender is not None else None
        if decided and run.event_name == INVOKED:
            decided = None
        return self._settings.sampler.takes(trace_id(run.id, sender), sent_by=decided)

    async def _senders(self, runs: Iterable[StoredRun]) -> dict[str, TraceContext]:
        """The traces of the events of batches, by event id; a run keeps that of its first event itself."""
        ids = [id for run in runs if run.batch_id for id in run.event_ids]
        if not ids:
            return {}
        return {id: load_context(trace) for id, trace in (await self._history.event_traces(ids)).items()}

    async def _send(self, traces: Sequence[RunTrace], slugs: dict[str, str], senders: dict[str, TraceContext]) -> bool:
        wait = RETRY_S
        spans = await self._thread.run(lambda: self._outline(traces, slugs, senders))
        for tried in range(1, TRIES + 1):
            spans = await self._thread.run(partial(self._deliver, spans))
            self._away = bool(spans)
            if not spans:
                return True
            if tried == TRIES or self._closing.is_set():
                break
            reason = self._words.last or "no reason was given"
            log.warning(
                "traces could not be sent; retrying", endpoint=self._settings.endpoint, reason=reason,
                after_s=wait, waiting=len(self._queue),
            )  # fmt: skip
            await _pause(self._closing, wait)
            wait = min(wait * 2, MAX_RETRY_S)
        self.dropped += len(traces)
        log.error("dropped traces after the last retry", runs=len(traces), reason=self._words.last)
        return False

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _outline(
        self, traces: Sequence[RunTrace], slugs: dict[str, str], senders: dict[str, TraceContext]
    ) -> list[ReadableSpan]:
        from holdfast.server.telemetry.outline import outline  # noqa: PLC0415 - as above

        if self._resource is None:
            self._resource = _resource()
        spans: list[ReadableSpan] = []
        for trace in traces:
            run = trace.run
            sent = [senders[id] for id in run.event_ids if id in senders]
            spans += outline(trace, slugs.get(run.function_id, run.function_id), self._resource, sent)
        return spans

    def _deliver(self, spans: list[ReadableSpan]) -> list[ReadableSpan]:
        """Sends spans; answers those that are left."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - as above

        if self._sender is None:
            self._words.listen()
            self._sender = self._make_sender(self._settings)
        size = self._settings.batch
        while spans:
            if self._sender.export(spans[:size]) is not SpanExportResult.SUCCESS:
                return spans
            spans = spans[size:]
        return spans


async def _pause(until: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), seconds)


class _Thread:
    """A thread that work is handed to. Nobody waits for its end: a collector that says nothing must not delay one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Does some work there, and answers what it came to."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()
        future: Future[T] = Future()

        def settle() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whoever waits is told
                future.set_exception(error)

        self._work.put(settle)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Ends it after the work that it has."""
        self._work.put(None)

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            with contextlib.suppress(RuntimeError, InvalidStateError):  # the loop is gone, or nobody waits any more
                work()


class _Words(logging.Handler):
    """Keeps what OpenTelemetry's exporter says to its logger: the server has a log of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.last = record.getMessage()

    def listen(self) -> None:
        """Take the messages."""
        logger = logging.getLogger("opentelemetry.exporter")
        logger.propagate = False
        logger.handlers = [self]


def _resource() -> Resource:
    """Who sends: as the environment says, else by this program's name."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - only senders pay for it

    own = {"service.name": "holdfast", "service.version": __version__}
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})


def _make_sender(settings: Settings) -> SpanExporter:
    if settings.exporter == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415 - as above

        return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: span.to_json(indent=None) + "\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as above

    return OTLPSpanExporter()
