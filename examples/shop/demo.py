"""The demo: a shop takes orders, the server is killed in the middle, and every order still arrives.

python demo.py             # about fifteen seconds
python demo.py --no-kill   # the same without the power cut
python demo.py --stay      # leave server and shop running afterwards, to look around
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import secrets
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

try:
    import httpx
    from console import Console
    from processes import Child, DemoError, require_free, server, shop
    from watch import ENDED, Change, Run, Watcher
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is missing. `make demo` installs what the demo needs") from error

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = 3
STORIES = {
    "COMPLETED": ("✔", "{}", "green"),
    "RETRYING": ("↻", "{} failed, will be tried again", "yellow"),
    "SLEEPING": ("…", "{}: asleep", "blue"),
    "WAITING": ("…", "{}: waiting for the event", "blue"),
}
ENDS = {
    "COMPLETED": ("■", "completed", "green"),
    "FAILED": ("■", "failed", "red"),
    "CANCELLED": ("■", "cancelled", "red"),
}
MINE = "mine-1"
FILES = (
    ("The shop's code:", "examples/shop/app.py"),
    ("The documentation:", "docs/README.md"),
)
WORK = ("reserve", "charge", "email", "invoice", "warehouse", "award")


class Demo:
    """One performance: server, shop, and what is known of their runs."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.console = Console()
        self.options = options
        data = Path(options.data).resolve()
        data.mkdir(parents=True, exist_ok=True)
        self.server = server(options.port, data, options.app_port)
        self.shop = shop(options.app_port, data, self.server.url)
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.watcher = Watcher(self.server.url, since)
        batch = secrets.token_hex(2)
        self.orders = [f"{batch}-{n}" for n in range(1, ORDERS + 1)]
        self.returned = f"{batch}-back"
        self.shipped: set[str] = set()

    def play(self) -> bool:
        """The whole show; True if every run ended as it should and no work was lost or done twice."""
        self.start()
        self.send_orders()
        if self.options.kill:
            if not self.watch_until(self.all_asleep, 12):
                raise DemoError(f"The orders do not get on; see {self.server.log} and {self.shop.log}")
            self.pull_the_plug()
        self.watch_until(self.all_ended, 20)
        good = self.summary()
        self.hints()
        if self.options.stay:
            self.stay()
        return good

    # Scenes

    def start(self) -> None:
        self.console.heading("1. Start a server and a shop")
        self.say_up(self.server, self.server.start("/health"), "holdfast dev --persist")
        self.say_up(self.shop, self.shop.start("/ledger"), "FastAPI with the official inngest package")
        answer = httpx.put(f"{self.shop.url}/api/inngest", timeout=10)
        if not answer.is_success:
            raise DemoError(f"The shop could not introduce itself to the server: {answer.text}")

    def say_up(self, child: Child, seconds: float, what: str) -> None:
        self.console.step(child.name, "▲", f"{child.url} is up after {seconds:.1f} s ({what})", "green")

    def send_orders(self) -> None:
        self.console.heading(f"2. {ORDERS} orders come in, and one parcel comes back")
        for order in self.orders:
            self.send("shop/order.placed", order)
        self.send("shop/order.returned", self.returned)

    def send(self, name: str, order: str, **data: object) -> None:
        event = {"name": name, "data": {"order": order, **data}}
        httpx.post(f"{self.server.url}/e/demo", json=event, timeout=10).raise_for_status()

    def pull_the_plug(self) -> None:
        self.console.heading("3. All orders are asleep: kill -9 the server")
        self.server.end(signal.SIGKILL)
        self.console.step("server", "✖", "killed, without a warning", "red")
        time.sleep(1)
        self.say_up(self.server, self.server.start("/health"), "same database")

    # Watching

    def watch_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Tell what happens until `done()`; False when that takes too long."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            for change in self.watcher.look():
                self.tell(change)
                self.ship(change)
            time.sleep(0.1)
        return True

    def tell(self, change: Change) -> None:
        told = ENDS.get(change.state) if not change.what else STORIES.get(change.state)
        if told:
            mark, text, style = told
            self.console.step(change.run.label, mark, text.format(change.what), style)

    def ship(self, change: Change) -> None:
        """Once an order waits for its parcel, hand the parcel over."""
        if (change.what, change.state) == ("parcel shipped", "WAITING") and change.run.order not in self.shipped:
            self.shipped.add(change.run.order)
            self.send("shop/parcel.shipped", change.run.order, parcel=f"P-{change.run.order}")

    def all_asleep(self) -> bool:
        runs = [run for run in self.watcher.runs.values() if run.function == "shop-fulfil-order"]
        return len(runs) == ORDERS and all(run.seen.get("cool off") == "SLEEPING" for run in runs)

    def all_ended(self) -> bool:
        """Orders, their points, the refund and its apology."""
        runs = self.watcher.runs.values()
        return len(runs) >= 2 * ORDERS + 2 and all(run.status in ENDED for run in runs)

    # The end

    def summary(self) -> bool:
        self.console.heading("4. What became of it")
        runs = self.watcher.runs.values()
        for run in runs:
            steps = sum(state == "COMPLETED" for state in run.seen.values())
            style = "green" if as_expected(run) else "red"
            self.console.say(f"  {run.label:<26} {run.status:<10} {steps} steps  {brief(run.output)}", style)
        as_they_should = [run for run in runs if as_expected(run)]
        self.console.say(f"  {len(as_they_should)} of {2 * ORDERS + 2} runs ended as they should", "bold")
        return self.check_ledger() and len(as_they_should) == len(runs) == 2 * ORDERS + 2

    def check_ledger(self) -> bool:
        """The shop's own book: every piece of work is there, none is there twice."""
        lines = httpx.get(f"{self.shop.url}/ledger", timeout=10).json()
        done = Counter((line["order"], line["did"]) for line in lines)
        wanted = {(order, work) for order in self.orders for work in WORK}
        wanted |= {(self.returned, "inspect"), (self.returned, "apologise")}
        lost, twice = wanted - done.keys(), [work for work, count in done.items() if count > 1]
        verdict = "nothing lost, nothing done twice" if not lost and not twice else f"lost: {lost}, twice: {twice}"
        self.console.say(f"  {len(wanted)} pieces of work, {verdict}", "red" if lost or twice else "green")
        return not lost and not twice

    def hints(self) -> None:
        self.console.heading("Where to look next")
        for label, text in (*self.next_steps(), *self.own_order(), *FILES):
            self.console.say(f"  {label:<25}{text}")

    def next_steps(self) -> tuple[tuple[str, str], ...]:
        if self.options.stay:
            return (("The server's own page:", f"{self.server.url}/"),)
        return (
            ("Stay and look around:", "make demo ARGS=--stay"),
            ("If a port is taken:", "make demo ARGS='--port N --app-port N'"),
            ("These runs again:", f".venv/bin/holdfast dev --persist --sqlite-dir {self.options.data}"),
        )

    def own_order(self) -> tuple[tuple[str, str], ...]:
        """An order goes on to its end only when its parcel is shipped; those of the demo are shipped by `ship`."""
        then = "" if self.options.stay else "(with --stay) "
        return (
            ("An order of your own:", f"{then}{self.curl('shop/order.placed', order=MINE)}"),
            ("… which ends with:", self.curl("shop/parcel.shipped", order=MINE, parcel=f"P-{MINE}")),
        )

    def curl(self, name: str, **data: str) -> str:
        return f"curl {self.server.url}/e/demo -d '{json.dumps({'name': name, 'data': data})}'"

    def stay(self) -> None:
        self.console.heading("Ctrl-C ends it")
        while True:
            for change in self.watcher.look():
                self.tell(change)
            time.sleep(0.3)

    def close(self) -> None:
        self.shop.end()
        self.server.end()
        self.watcher.http.close()


def as_expected(run: Run) -> bool:
    """A refund fails on purpose, all else completes, and each order gets its own parcel."""
    if run.function == "shop-refund":
        return run.status == "FAILED"
    if run.function == "shop-fulfil-order" and run.output and run.output.get("parcel") != f"P-{run.order}":
        return False
    return run.status == "COMPLETED"


def brief(output: Any) -> str:
    """A run's output in a few words."""
    if not isinstance(output, dict):
        return str(output)
    return str(output.get("message") or ", ".join(f"{name}: {value}" for name, value in output.items()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8288, help="the server's port (default 8288)")
    parser.add_argument("--app-port", type=int, default=8000, help="the shop's port (default 8000)")
    parser.add_argument("--data", default=".holdfast/demo", help="folder of database and logs (default .holdfast/demo)")
    parser.add_argument("--kill", action=argparse.BooleanOptionalAction, default=True, help="kill -9 the server")
    parser.add_argument("--stay", action="store_true", help="leave everything running until Ctrl-C")
    return parser.parse_args()


def terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    options = parse()
    missing = [name for name in ("inngest", "fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(f"{', '.join(missing)} missing. `make demo` installs what the demo needs\n")
        return 2
    signal.signal(signal.SIGTERM, terminated)
    demo = Demo(options)
    try:
        require_free(options.port, "--port")
        require_free(options.app_port, "--app-port")
        return 0 if demo.play() else 1
    except (DemoError, httpx.HTTPError) as error:
        demo.console.error(str(error))
        return 2
    except KeyboardInterrupt:
        return 0 if options.stay else 130
    finally:
        demo.close()


if __name__ == "__main__":
    raise SystemExit(main())
