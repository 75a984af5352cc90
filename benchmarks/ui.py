"""What the web UI costs, in Chromium over a real server and a real app: `python -m benchmarks ui`.

Each bar is measured alone, on a machine that does nothing else; the exit code tells whether all were met. NAMEs measure
only those. What does not depend on the machine, weight and requests, `tests/ui/test_weight.py` holds at each change.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright
from tests.ui.conftest import FLAGS, Stage, staged

import holdfast

RUNS: Final = 10_000
IDLE_S: Final = 60.0
PAGES: Final = 20
FIRST_ROW: Final = "[data-key]"
_ASSETS: Final = Path(holdfast.__file__).parent / "_ui" / "assets"


class Bar(msgspec.Struct, frozen=True):
    """What was measured, and the most that it may be."""

    name: str
    value: float
    most: float
    unit: str

    @property
    def met(self) -> bool:
        return self.value <= self.most


class _Event(msgspec.Struct):
    """A piece of work of a page: `tdur` is its thread's CPU time in microseconds."""

    tdur: float = 0.0


class _Trace(msgspec.Struct):
    events: list[_Event] = msgspec.field(name="traceEvents")


def main(arguments: Sequence[str]) -> None:
    """Measure, print each bar, and exit with 1 if one was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ui", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MEASURES)}")
    wanted = parser.parse_args(arguments).names or list(MEASURES)
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as served:
        met = [_met(name, served, Path(folder)) for name in wanted]
    sys.exit(0 if all(met) else 1)


def _met(name: str, served: Stage, folder: Path) -> bool:
    # What pages draw shall not be taken for a cost of the server, which works on the same cores.
    with chromium(folder, nice=19 if name == "hop" else 0) as browser:
        return all(bar.met for bar in _told(MEASURES[name](browser, served)))


def _told(bars: list[Bar]) -> list[Bar]:
    for bar in bars:
        verdict = "ok" if bar.met else "MISSED"
        sys.stdout.write(f"{bar.name:<44} {bar.value:>9.2f} {bar.unit:<4} (at most {bar.most:g})  {verdict}\n")
    sys.stdout.flush()
    return bars


@contextmanager
def chromium(folder: Path, *, nice: int) -> Iterator[Browser]:
    """The machine's Chromium, whose processes give way to others by so much."""
    program = folder / "chromium.sh"
    program.write_text(f'#!/bin/sh\nexec nice -n {nice} {shutil.which("chromium")} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def weight(browser: Browser, served: Stage) -> list[Bar]:
    """JS and CSS that the list of runs asks for with an empty cache, as gzip packs them."""
    names: set[str] = set()
    page = browser.new_context().new_page()
    page.on("request", lambda request: names.add(request.url.rpartition("/assets/")[2]))
    page.goto(f"{served.url}/runs")
    page.wait_for_load_state("networkidle")
    page.context.close()
    sizes = [(_ASSETS / f"{name}.gz").stat().st_size for name in names if name.endswith((".js", ".css"))]
    assert sizes, "no script was asked for"
    return [Bar("JS and CSS of the first page, gzipped", sum(sizes) / 1_000, 100, "KB")]


def first_rows(browser: Browser, served: Stage) -> list[Bar]:
    """From navigation to the first visible row, with an empty cache: the best of seven, as others only add to it."""
    served.run_of(served.send("shop/page.viewed"), status="Completed")
    return [Bar("first rows, empty cache", min(_opened(browser, served) for _ in range(7)), 500, "ms")]


def _opened(browser: Browser, served: Stage) -> float:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    began = time.perf_counter()
    page.goto(f"{served.url}/runs", wait_until="commit")
    page.wait_for_selector(FIRST_ROW)
    took = time.perf_counter() - began
    page.context.close()
    return took * 1_000


def run_on_screen(browser: Browser, served: Stage) -> list[Bar]:
    """From sending an event to its run's row on an open list; the median of ten."""
    with _list(browser, served) as page:
        return [
            Bar("an event's run on the screen", statistics.median(_seen(page, served) for _ in range(10)), 200, "ms")
        ]


def _seen(page: Page, served: Stage) -> float:
    newest = page.locator(FIRST_ROW).first.get_attribute("data-key")
    began = time.perf_counter()
    served.send("shop/page.viewed")
    page.wait_for_function("before => document.querySelector('[data-key]').dataset.key !== before", arg=newest)
    return (time.perf_counter() - began) * 1_000


def hop_beside_pages(browser: Browser, served: Stage) -> list[Bar]:
    """The time of a step in a run of 200, with 20 lists open, over that without; medians of five runs each.

    The pages get what the server leaves of the machine.
    """
    _hops(served)  # warm
    alone = _hops(served)
    tabs = [browser.new_context().new_page() for _ in range(PAGES)]
    for tab in tabs:
        tab.goto(f"{served.url}/runs")
        tab.wait_for_selector(FIRST_ROW)
    time.sleep(5)
    beside = _hops(served)
    for tab in tabs:
        tab.context.close()
    return [Bar("hop p50 with 20 pages open, of that without", beside / alone, 1.1, "x")]


def _hops(served: Stage) -> float:
    return statistics.median(_run(served) for _ in range(5))


def _run(served: Stage) -> float:
    began = time.perf_counter()
    served.run_of(served.send("shop/accounts.migrate"), status="Completed")
    return time.perf_counter() - began


def fill_and_scroll(browser: Browser, served: Stage) -> list[Bar]:
    """The longest piece of work of the page while somebody scrolls through 10,000 runs, in CPU time of its thread."""
    for _ in range(RUNS // 500):
        served.post("/e/bench", [{"name": "shop/page.viewed", "data": {}}] * 500)
    _until_done(served)
    with _list(browser, served) as page:
        browser.start_tracing(page=page, categories=["devtools.timeline"])
        page.mouse.move(700, 600)
        for _ in range(RUNS * 36 // 3_600):
            page.mouse.wheel(0, 3_600)
            page.wait_for_timeout(60)
        trace = msgspec.json.decode(browser.stop_tracing(), type=_Trace)
    longest = max(event.tdur for event in trace.events) / 1_000
    return [Bar("longest task while scrolling 10,000 runs", longest, 50, "ms")]


def _until_done(served: Stage) -> None:
    """Wait until no run is under way."""
    where = '{from: "2020-01-01T00:00:00Z", status: [QUEUED, RUNNING]}'
    query = f"{{ runs(orderBy: [{{field: QUEUED_AT, direction: DESC}}], filter: {where}) {{ totalCount }} }}"
    while served.post("/v0/gql", {"query": query})["data"]["runs"]["totalCount"]:
        time.sleep(1)


def idle(browser: Browser, served: Stage) -> list[Bar]:
    """Requests, and how busy the main thread is, in a minute in which nothing happens."""
    time.sleep(10)
    with _list(browser, served) as page:
        page.wait_for_timeout(5_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        before = _busy(session)
        page.wait_for_timeout(IDLE_S * 1_000)
        busy = 100 * (_busy(session) - before) / IDLE_S
    return [Bar("requests in a minute of idling", len(asked), 0, ""), Bar("main thread busy while idle", busy, 2, "%")]


def _busy(session: Any) -> float:
    """Seconds that the page's main thread has worked."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@contextmanager
def _list(browser: Browser, served: Stage) -> Iterator[Page]:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{served.url}/runs")
    page.wait_for_selector(FIRST_ROW)
    page.wait_for_load_state("networkidle")
    yield page
    page.context.close()


MEASURES: Final[dict[str, Callable[[Browser, Stage], list[Bar]]]] = {
    "weight": weight, "rows": first_rows, "push": run_on_screen, "hop": hop_beside_pages, "scroll": fill_and_scroll,
    "idle": idle,
}  # fmt: skip
