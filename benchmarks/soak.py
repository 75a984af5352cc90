"""Memory of a server under a steady load: `python -m benchmarks soak [--minutes 60] [--rate 258] [--plot FILE.svg]`.

Sends events at a fixed rate, each of which is a run of one call, and looks at the process from outside: what is
resident, how much of that is anonymous (objects, caches of SQLite, arenas of malloc) and how much is files, mapped. At
the end it tells which kinds of objects there are more of than a quarter into the time, and how fast memory still grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import load
from benchmarks.app import now
from benchmarks.bars import Scene, say

BATCHES_A_SECOND = 10
MOST_AT_ONCE = 1_000
"""Events of a batch that makes up for what a busy machine has missed."""
SAMPLES = 120
WIDTH, HEIGHT, LEFT, BOTTOM = 760, 300, 56, 36
SERIES = (("resident", "#0969da"), ("anonymous", "#cf222e"))


class Sample(msgspec.Struct, frozen=True):
    """What was seen at one moment; `at` in seconds since the load began, the others in MiB."""

    at: float
    resident: float
    anonymous: float
    database: float
    events: int


class Load:
    """Events at a fixed rate, until it is ended."""

    def __init__(self, scene: Scene, rate: float) -> None:
        self.sent = 0
        self._scene = scene
        self._rate = rate
        self._began = now()

    async def run(self) -> None:
        """Send batches; one that is late is made up for by the next."""
        client = await load.Client.open(self._scene.server.port)
        try:
            while True:
                due = min(int((now() - self._began) * self._rate), self.sent + MOST_AT_ONCE)
                if due > self.sent:
                    events = [load.event("bench/noop", "soak", i) for i in range(self.sent, due)]
                    await client.post(load.request("/e/bench", json.dumps(events).encode()))
                    self.sent = due
                await asyncio.sleep(1 / BATCHES_A_SECOND)
        finally:
            await client.close()


def look(scene: Scene, at: float, events: int) -> Sample:
    """Return what the kernel says of the server now."""
    lines = Path(f"/proc/{scene.server.pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    size = sum(file.stat().st_size for file in scene.server.folder.glob("main.db*")) / 2**20
    return Sample(at, kib["Rss"] / 1_024, kib["Anonymous"] / 1_024, size, events)


async def kinds(scene: Scene) -> dict[str, int]:
    """Return the server's objects, counted by type."""
    client = await load.Client.open(scene.server.port)
    body = await client.post(b"GET /debug/memory HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    await client.close()
    rows = (line.split() for line in body.decode().splitlines())
    return {name: int(count) for count, name in rows}


async def measure(minutes: float, rate: float) -> tuple[list[Sample], dict[str, int]]:
    """Return samples of memory, and by how much each kind of object grew in the last three quarters of the time."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with Scene(Path(name) / "soak") as scene:
            sending = Load(scene, rate)
            task, began = asyncio.create_task(sending.run()), now()
            early: dict[str, int] = {}
            for place in range(SAMPLES + 1):
                await asyncio.sleep(max(0.0, began + place * minutes * 60 / SAMPLES - now()))
                if task.done():
                    task.result()
                samples.append(look(scene, now() - began, sending.sent))
                if place == SAMPLES // 4:
                    early = await kinds(scene)
                if place % (SAMPLES // 12) == 0:
                    say(told(samples[-1]))
            late = await kinds(scene)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)  # the app's connections close
    return samples, {kind: count - early.get(kind, 0) for kind, count in late.items()}


def told(sample: Sample) -> str:
    """Return a sample as a line."""
    return (
        f"  {sample.at / 60:6.1f} min  {sample.resident:6.1f} MiB resident, {sample.anonymous:6.1f} anonymous; "
        f"{sample.events:,} events, database {sample.database:,.0f} MiB"
    )


def growth(samples: Sequence[Sample]) -> float:
    """Return by how many MiB an hour resident memory grew in the last half: the slope of the line of least squares."""
    half = samples[len(samples) // 2 :]
    at = sum(s.at for s in half) / len(half)
    level = sum(s.resident for s in half) / len(half)
    spread = sum((s.at - at) ** 2 for s in half)
    return sum((s.at - at) * (s.resident - level) for s in half) / spread * 3_600 if spread else 0.0


def picture(samples: Sequence[Sample]) -> str:
    """Return memory over time as SVG."""
    end, top = samples[-1].at or 1.0, max(s.resident for s in samples) * 1.1
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui" '
            'font-size="12" role="img" aria-label="Memory of the server over time">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for part in range(5):
        y = HEIGHT - BOTTOM - part / 4 * (HEIGHT - 2 * BOTTOM)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - LEFT}" stroke="#d1d9e0"/>')
        parts.append(f'<text x="4" y="{y + 4:.1f}">{top * part / 4:.0f} MiB</text>')
        x = LEFT + part / 4 * (WIDTH - 2 * LEFT)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{end * part / 240:.1f} min</text>')
    for place, (name, colour) in enumerate(SERIES):
        points = " ".join(
            f"{LEFT + s.at / end * (WIDTH - 2 * LEFT):.1f},"
            f"{HEIGHT - BOTTOM - getattr(s, name) / top * (HEIGHT - 2 * BOTTOM):.1f}"
            for s in samples
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + place * 100}" y="18" fill="{colour}">{name}</text>')
    return "\n".join((*parts, "</svg>", ""))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long; 60 to see where it ends")
    parser.add_argument("--rate", type=float, default=258.0, help="events a second")
    parser.add_argument("--plot", type=Path, help="write a picture as SVG")
    options = parser.parse_args(arguments)
    samples, grown = asyncio.run(measure(options.minutes, options.rate))
    most = sorted(grown.items(), key=lambda item: -item[1])[:8]
    print(f"{samples[0].resident:.0f} → {samples[-1].resident:.0f} MiB; now {growth(samples):+.1f} MiB an hour")
    print("more objects: " + ", ".join(f"{count:+,} {kind}" for kind, count in most if count > 0))
    if options.plot:
        options.plot.write_text(picture(samples))


if __name__ == "__main__":
    main()
