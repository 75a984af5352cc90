"""Takes pictures of every screen, in both themes, wide and narrow: `scripts/screenshots [FOLDER] [NAME …]`.

Starts a dev server and the showcase app, sends its sample events, and waits until every state that a run can be in
is there. `--url` takes a server that runs already, with the showcase app. NAMEs take only pictures that begin so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from .conftest import FLAGS, WAIT_S, Stage, staged
from .samples import sample_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

WIDTHS: Final = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES: Final = ("light", "dark")
WEBHOOKS: Final = {
    "github": '{"name": "github/" + headers["x-github-event"], "id": headers["x-github-delivery"], "data": body}',
    "stripe": '{"name": "stripe/" + body.type, "id": body.id, "data": body.data.object}',
}


def main() -> None:
    """Take the pictures and print where they lie."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", nargs="?", default="screenshots", type=Path)
    given.add_argument("names", nargs="*", help="only pictures whose names begin so")
    given.add_argument("--url", help="a server that runs already")
    args = given.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with _stage(args.url) as stage:
        wanted = {
            name: path for name, path in places(stage).items() if not args.names or name.startswith(tuple(args.names))
        }
        _take_all(stage.url, wanted, args.folder)
    sys.stdout.write(f"{len(wanted) * 4} pictures in {args.folder}\n")


@contextmanager
def _stage(url: str | None) -> Iterator[Stage]:
    if url is not None:
        yield Stage(url)
        return
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        fill(stage)
        ended(stage, "shop-unlucky")  # half a minute of attempts
        yield stage


def fill(stage: Stage) -> None:
    """Send the sample events, and wait until most of what fails has failed."""
    for event in sample_events():
        stage.post("/e/showcase", event)
    for slug in ("shop-import-catalogue", "shop-charge-card", "shop-answer-question", "shop-fulfil-order"):
        ended(stage, slug)
    for number, run_id in enumerate(runs_of(stage, "shop-answer-question")):
        variant = {"id": "model", "variant": ["small", "large"][number % 2]}
        scores = [
            {"name": "helpful", "value": number % 3 > 0, "experiment": variant},
            {"name": "seconds", "value": 0.4 + number % 4 / 10 + number % 2, "experiment": variant},
        ]
        stage.post(f"/v2/runs/{run_id}/scores", scores)
    for name, transform in WEBHOOKS.items():
        stage.post("/v2/env/webhooks", {"name": name, "transform": transform}, {"X-Inngest-Env": "dev"})


def ended(stage: Stage, slug: str) -> None:
    """Wait until a function has runs, and all of them have ended."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = runs_of(stage, slug)
        if found and all(stage.get(f"/v1/runs/{run}")["data"]["ended_at"] for run in found):
            return
        time.sleep(0.2)
    raise AssertionError(f"runs of {slug} go on")


def places(stage: Stage) -> dict[str, str]:
    """Return the address of each picture, by its name."""
    run = {name: _run_of(stage, slug) for name, slug in _RUNS.items()}
    order = _newest_event(stage, "shop/order.placed")
    runs = {f"run-{name}": f"/runs/{id}" for name, id in run.items()}
    orders = runs_of(stage, "shop-fulfil-order")
    return {
        "runs": "/runs", "runs-failed": "/runs?status=FAILED", "runs-empty": "/runs?function=shop-no-such-function",
        **runs,
        "run-step": f"/runs/{run['recovered']}?step=ask+warehouse", "run-unknown": "/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "compare": f"/compare/{orders[0]}/{orders[1]}", "events": "/events", "event": f"/events/{order}",
        "event-nobody": f"/events/{_newest_event(stage, 'shop/nobody.listens')}", "send": "/events?send=new",
        "lineage": f"/lineage/{order}", "functions": "/functions", "function": "/functions/shop-fulfil-order",
        "function-held": "/functions/shop-render-video", "function-batch": "/functions/shop-index-documents",
        "function-debounce": "/functions/shop-refresh-profile", "apps": "/apps", "metrics": "/performance",
        "metrics-function": "/performance?function=shop-fulfil-order", "sessions": "/sessions",
        "session": "/sessions/chat/c-0", "experiments": "/experiments",
        "experiment": "/experiments/shop/answer-question/model", "webhooks": "/sources",
        "webhook-new": "/sources?edit=new", "settings": "/settings",
        "tokens": "/settings/tokens", "nowhere": "/no/such/page",
    }  # fmt: skip


_RUNS: Final = {
    "completed": "shop-fulfil-order", "recovered": "shop-sync-stock", "failed": "shop-charge-card",
    "retried": "shop-import-catalogue", "sleeping": "shop-remind-customer", "waiting": "shop-await-payment",
    "backing-off": "shop-retry-tomorrow", "held": "shop-render-video", "throttled": "shop-weekly-report",
    "200-steps": "shop-migrate-accounts", "50-parallel": "shop-resize-images", "1-mb": "shop-export-orders",
    "ai": "shop-summarise-reviews", "26-attempts": "shop-unlucky",
}  # fmt: skip


def _ask(stage: Stage, query: str) -> Any:
    return stage.post("/v0/gql", {"query": query})["data"]


def runs_of(stage: Stage, slug: str) -> list[str]:
    """The ids of a function's runs, the newest first."""
    function = _ask(stage, f'{{ functionBySlug(query: {{ functionSlug: "{slug}" }}) {{ id }} }}')["functionBySlug"]
    where = f'{{ from: "2020-01-01T00:00:00Z", functionIDs: ["{function["id"]}"] }}'
    order = "[{ field: QUEUED_AT, direction: DESC }]"
    found = _ask(stage, f"{{ runs(orderBy: {order}, filter: {where}) {{ edges {{ node {{ id }} }} }} }}")["runs"]
    return [edge["node"]["id"] for edge in found["edges"]]


def _run_of(stage: Stage, slug: str) -> str:
    return runs_of(stage, slug)[0]


def _newest_event(stage: Stage, name: str) -> str:
    where = json.dumps(name)
    query = f'{{ eventsV2(first: 1, filter: {{ from: "2020-01-01T00:00:00Z", eventNames: [{where}] }})'
    return str(_ask(stage, query + " { edges { node { id } } } }")["eventsV2"]["edges"][0]["node"]["id"])


def _take_all(url: str, wanted: dict[str, str], folder: Path) -> None:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for theme in THEMES:
            for width in WIDTHS:
                with _tab(browser, url, theme, width) as page:
                    for name, place in wanted.items():
                        _take(page, place, folder / f"{name}-{theme}-{width}.png")
        browser.close()


@contextmanager
def _tab(browser: Browser, url: str, theme: str, width: str) -> Iterator[Page]:
    wide, high = WIDTHS[width]
    scheme: Any = theme
    context = browser.new_context(
        base_url=url, viewport={"width": wide, "height": high}, color_scheme=scheme, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


def _take(page: Page, place: str, path: Path) -> None:
    page.goto(place)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(250)
    page.screenshot(path=path)


if __name__ == "__main__":
    main()
