"""A database as years of use leave it: `python -m benchmarks.library FOLDER [--runs N] [--days D]`.

Writes runs with their events, steps, spans and open items, in the engine's own rows. The same seed and end give the
same rows. Beside `main.db` it writes `library.json`: what a benchmark has to know to ask for something (`Contents`).
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.function_config import FunctionConfig, Step, Trigger
from holdfast.protocol.function_store import stored_config
from holdfast.protocol.ids import step_hash, ulid
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind, encode_row
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.counting import count_events, count_runs
from holdfast.server.store.sqlite.migrate import migrate

APPS = ("billing", "crm", "fulfilment", "identity", "mail", "media", "reports", "search")
VERBS = ("sync", "import", "charge", "notify", "index", "resize")
FUNCTIONS_PER_APP = 6
STEP_NAMES = tuple(
    f"{verb}-{noun}" for verb in ("load", "check", "send", "store") for noun in ("user", "order", "page", "file")
)
STEP_HASHES = tuple(map(step_hash, STEP_NAMES))
HEADERS = '{"Content-Type":"application/json","X-Inngest-Sdk":"inngest-py:v0.5.19","X-Inngest-Req-Version":"2"}'
STATUSES = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.RUNNING, RunStatus.SCHEDULED)
STATUS_WEIGHTS = (0.92, 0.05, 0.02, 0.008, 0.002)
LARGE_STEPS = 1_000
_DAY_MS = 86_400_000
_CHUNK = 5_000
_ERROR = '{"name":"ValueError","message":"card declined","stack":"Traceback (most recent call last)"}'


class Contents(msgspec.Struct):
    """What was written, and what can be asked for."""

    runs: int
    rows: int  # of steps and spans
    events: int
    start: int  # ms
    end: int
    apps: list[str]
    functions: list[str]
    rare: str  # a function with a few hundred runs, all of them old
    names: list[str]  # of events
    large: str  # a run of a thousand steps
    sample: list[str]  # some ordinary runs
    sample_events: list[str]


class _Function(msgspec.Struct):
    id: str
    app_id: str
    slug: str
    event: str
    steps: int


def _data(**values: object) -> str:
    return msgspec.json.encode(values).decode()


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _functions() -> list[_Function]:
    found = []
    for app in APPS:
        for verb in VERBS[:FUNCTIONS_PER_APP]:
            slug = f"{app}-{verb}"
            found.append(_Function(_uuid(slug), _uuid(app), slug, f"{app}/{verb}.requested", 5 + len(found) % 9))
    return found


class _Writer:
    def __init__(self, folder: Path, runs: int, days: float, end: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.runs, self.end, self.start = runs, end, end - int(days * _DAY_MS)
        self.functions = _functions()
        self.weights = list(itertools.accumulate(1 / (1 + k) ** 0.7 for k in range(len(self.functions))))
        self.rare = _Function(_uuid("mail-retired"), _uuid("mail"), "mail-retired", "mail/retired.requested", 3)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "main.db"
        if self.path.exists():
            raise SystemExit(f"{self.path} exists: give another folder, or remove it")
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=OFF")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA cache_size=-400000")
        migrate(self.db)
        self.text = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz     ", k=200_000))
        self.events: list[tuple[object, ...]] = []
        self.run_rows: list[tuple[object, ...]] = []
        self.counted_events: list[Event] = []
        self.ended: list[Run] = []
        self.links: list[tuple[str, str]] = []
        self.steps: list[tuple[object, ...]] = []
        self.spans: list[tuple[object, ...]] = []
        self.jobs: list[tuple[object, ...]] = []
        self.pauses: list[tuple[object, ...]] = []
        self.serial = 0
        self.rows = self.event_count = 0
        self.large = ""
        self.sample: list[str] = []
        self.sample_events: list[str] = []

    def write(self) -> Contents:
        """All of it."""
        began = time.perf_counter()
        self.db.execute("BEGIN")
        self._apps()
        gap = (self.end - self.start) / self.runs
        large_at, sample_every = self.runs * 9 // 10, max(1, self.runs // 500)
        for number in range(self.runs):
            at = int(self.start + number * gap + self.random.random() * gap)
            self._run(number, at, LARGE_STEPS if number == large_at else 0, sampled=not number % sample_every)
            if not (number + 1) % _CHUNK:
                self._flush()
                if not (number + 1) % (_CHUNK * 10):
                    took = time.perf_counter() - began
                    print(f"{number + 1:>10,} runs {self.rows:>12,} rows {took:6.0f} s", file=sys.stderr)
        self._flush()
        self.db.execute("COMMIT")
        self.db.close()
        names = [f.event for f in self.functions] + ["audit/page.viewed", "inngest/function.finished"]
        return Contents(
            self.runs, self.rows, self.event_count, self.start, self.end, [_uuid(a) for a in APPS],
            [f.id for f in self.functions], self.rare.id, names, self.large, self.sample, self.sample_events,
        )  # fmt: skip

    def _apps(self) -> None:
        url = "http://127.0.0.1:9/api/inngest"
        for app in APPS:
            values = (_uuid(app), app, url, "serve", "py", "0.5.19", "fast_api", "", "", "", self.start, None, 0)
            self.db.execute(f"INSERT INTO apps VALUES ({','.join('?' * 13)})", values)
        for f in [*self.functions, self.rare]:
            step = Step("step", "step", f"{url}?fnId={f.slug}&stepId=step", 4)
            config = FunctionConfig(f.slug, f.slug, triggers=(Trigger(f.event),), steps=(step,))
            values = (f.id, f.app_id, f.slug, f.slug, 1, stored_config(config, f.id, 1).decode(), self.start, None)
            self.db.execute("INSERT INTO functions VALUES (?,?,?,?,?,?,?,?)", values)

    # --- one run ----------------------------------------------------------------------------------------------------

    def _run(self, number: int, at: int, steps: int, *, sampled: bool) -> None:
        rnd = self.random
        function = self.functions[bisect.bisect(self.weights, rnd.random() * self.weights[-1])]
        if number < self.runs // 5 and not number % max(1, self.runs // 1_500):
            function = self.rare
        status = rnd.choices(STATUSES, STATUS_WEIGHTS)[0] if not steps else RunStatus.COMPLETED
        event_id = self._event(function.event, at, _data(order=number, plan="free" if number % 3 else "pro"))
        if not number % 4:
            self._event("audit/page.viewed", at, _data(page=f"/orders/{number}"))
        run_id = self._id(at)
        started = at + rnd.randrange(2, 40)
        ended: int | None = started
        if status is RunStatus.SCHEDULED:
            self._job(run_id, JobKind.START)
            self._row(run_id, function, event_id, status, at, None, None, None, "")
            return
        now = self._steps(run_id, started, steps or max(1, function.steps + rnd.randrange(-2, 3)))
        ended = now if status is not RunStatus.RUNNING else None
        output, error = self._outcome(run_id, status)
        if status is RunStatus.RUNNING:
            self._open(run_id, number, now)
        self._row(run_id, function, event_id, status, at, started, ended, output, error)
        if sampled:
            self.sample.append(run_id)
            self.sample_events.append(event_id)
        if steps:
            self.large = run_id
        if ended is not None:
            data = (
                f'{{"function_id":"{function.slug}","run_id":"{run_id}","result":{output or "null"},'
                f'"_inngest":{{"status":"{status.name.title()}"}}}}'
            )
            self._event("inngest/function.finished", ended, data)
            if status is RunStatus.FAILED:
                self._event("inngest/function.failed", ended, data)

    def _outcome(self, run_id: str, status: RunStatus) -> tuple[str | None, str]:
        if status is RunStatus.FAILED:
            return _ERROR, "card declined"
        if status is RunStatus.COMPLETED:
            return f'{{"ok":true,"id":"{run_id}","note":"{self._words(self._size())}"}}', ""
        return None, ""

    def _row(
        self, run_id: str, function: _Function, event_id: str, status: RunStatus, at: int, started: int | None,
        ended: int | None, output: str | None, error: str,
    ) -> None:  # fmt: skip
        detail = f'{{"function_version":1,"error":"{error}"}}' if error else '{"function_version":1}'
        self.links.append((event_id, run_id))
        if ended is not None:
            run = Run(run_id, function.id, function.app_id, at)
            run.status, run.started_at, run.ended_at = status, started, ended
            self.ended.append(run)
        self.run_rows.append((
            run_id, function.id, function.app_id, int(status), at, started, ended, f'["{event_id}"]', function.event,
            output, detail, '{"request_version":2}' if started else "{}",
        ))  # fmt: skip

    def _steps(self, run_id: str, now: int, count: int) -> int:
        """Rows of finished work; the time after it."""
        rnd, seq = self.random, 0
        for k in range(count):
            name, hashed = STEP_NAMES[k % 16], STEP_HASHES[k % 16] if k < 16 else step_hash(f"{STEP_NAMES[k % 16]}:{k}")
            for kind in ("attempt", "step") if not rnd.randrange(12) else ("step",):
                seq += 1
                began, now = now + 1, now + 1 + rnd.randrange(2, 400)
                job = f"{seq:04x}{run_id[10:22].lower()}"
                span = (
                    f'{{"k":"{kind}","s":{6 if kind == "step" else 8},"q":{began - 1},"b":{began},"e":{now},'
                    f'"n":"{name}","i":"{hashed}","o":"StepRun","m":5,"g":"{job}",'
                    f'"c":["{job}","",{began - 1},{began - 1},{began},{now},0,206,{HEADERS},312,"http://127.0.0.1:9/api/inngest?fnId=f&stepId=step"]}}'
                )
                if kind == "step":
                    self.steps.append((run_id, seq, hashed, f'{{"data":"{self._words(self._size())}"}}', span))
                else:
                    self.spans.append((run_id, seq, f'{{"error":{_ERROR}}}', span))
        seq += 1
        span = (
            f'{{"k":"function","s":6,"q":{now},"b":{now + 1},"e":{now + 9},"m":5,"g":"f{run_id[10:22]}",'
            f'"c":["f{run_id[10:22]}","",{now},{now},{now + 1},{now + 9},0,200,{HEADERS},40,"http://127.0.0.1:9/api/inngest"]}}'
        )
        self.spans.append((run_id, seq, '{"data":"ok"}', span))
        return now + 9

    def _open(self, run_id: str, number: int, now: int) -> None:
        """What a running run waits for: far enough away that nothing happens while one measures."""
        if number % 2:
            self._job(run_id, JobKind.SLEEP)
            return
        pause = Pause(
            run_id, 2, PauseKind.EVENT, self.end + 300 * _DAY_MS, now, STEP_HASHES[0], "approval", f"approved/{run_id}"
        )
        self.pauses.append((run_id, 2, encode_row(pause).decode()))

    def _job(self, run_id: str, kind: JobKind) -> None:
        due = self.end + 300 * _DAY_MS
        job = Job(run_id, 1, kind, run_id[10:22].lower(), due, self.end, 5, step=STEP_HASHES[0], name="nap")
        self.jobs.append((run_id, 1, encode_row(job).decode()))

    def _event(self, name: str, at: int, data: str) -> str:
        id = self._id(at)
        self.event_count += 1
        text = f'{{"name":"{name}","data":{data},"id":"{id}","ts":{at}}}'
        self.events.append((id, self.event_count, name, id, at, at, text))
        self.counted_events.append(Event(id, name, id, at, at, b""))
        return id

    def _id(self, at: int) -> str:
        self.serial += 1
        return ulid(at, self.serial << 48 | self.random.getrandbits(48))

    def _size(self) -> int:
        """Bytes of a value: mostly small, now and then large."""
        chance = self.random.random()
        return int(20 + 200 * chance) if chance < 0.95 else 2_000 if chance < 0.998 else 20_000

    def _words(self, size: int) -> str:
        place = self.random.randrange(len(self.text) - size)
        return self.text[place : place + size]

    # --- rows -------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self.rows += len(self.steps) + len(self.spans)
        count_events(self.db, self.counted_events)
        count_runs(self.db, self.ended)
        self.counted_events.clear()
        self.ended.clear()
        for sql, rows in self._pending():
            self.db.executemany(sql, rows)
            rows.clear()

    def _pending(self) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
        yield "INSERT INTO events (id, n, name, external_id, ts, received_at, json) VALUES (?,?,?,?,?,?,?)", self.events
        yield (
            "INSERT INTO runs (id, function_id, app_id, status, scheduled_at, started_at, ended_at, event_ids,"
            " event_name, output, detail, state) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
        ), self.run_rows  # fmt: skip
        yield "INSERT INTO event_runs VALUES (?,?)", self.links  # type: ignore[misc]
        yield "INSERT INTO steps VALUES (?,?,?,?,?)", self.steps
        yield "INSERT INTO spans VALUES (?,?,?,?)", self.spans
        yield "INSERT INTO jobs (run_id, no, job) VALUES (?,?,?)", self.jobs
        yield "INSERT INTO pauses (run_id, no, pause) VALUES (?,?,?)", self.pauses


def build(folder: Path, runs: int, days: float = 30, end: int | None = None, seed: int = 1) -> Contents:
    """Write a library into a folder that has none."""
    contents = _Writer(folder, runs, days, end or int(time.time() * 1e3), seed).write()
    (folder / "library.json").write_bytes(msgspec.json.format(msgspec.json.encode(contents)))
    return contents


def load(folder: Path) -> Contents:
    """What a library holds."""
    return msgspec.json.decode((folder / "library.json").read_bytes(), type=Contents)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--end", type=int, help="ms since the epoch of the newest run (now)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    contents = build(options.folder, options.runs, options.days, options.end, options.seed)
    print(f"{contents.runs:,} runs, {contents.rows:,} steps and spans, {contents.events:,} events")


if __name__ == "__main__":
    main()
