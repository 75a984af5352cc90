"""A happening as one line for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import click

from holdfast.server.activity.happening import Happening, What
from holdfast.server.terminal import plain

#: How wide the column of words is.
_WIDE: Final = 11
_WORDS: Final = {
    What.EVENT: ("event", "cyan"),
    What.EVENT_REFUSED: ("refused", "red"),
    What.RUN_STARTED: ("started", "blue"),
    What.STEP_FAILED: ("step failed", "yellow"),
    What.RUN_FAILED: ("failed", "red"),
    What.APP_FOUND: ("app found", "magenta"),
    What.APP_SYNCED: ("app synced", "magenta"),
    What.APP_UNREACHABLE: ("app away", "red"),
    What.APP_REFUSED: ("app refused", "red"),
    What.APP_ERROR: ("app error", "red"),
    What.APP_BACK: ("app is back", "magenta"),
    What.APP_REMOVED: ("app removed", "magenta"),
    What.FOLDED: ("…", "cyan"),
}
_ENDS: Final = {"completed": "green", "cancelled": "yellow", "skipped": "yellow"}
_COUNTED: Final = {
    What.EVENT: "events",
    What.EVENT_REFUSED: "refused events",
    What.RUN_STARTED: "runs started",
    What.RUN_ENDED: "runs ended",
    What.RUN_FAILED: "runs failed",
    What.STEP_FAILED: "failed attempts",
}
_SHOWN: Final = 5  # names in a list


def line(happening: Happening, *, color: bool) -> str:
    """One line, without its end; texts of others can't steer the terminal."""
    word, tint = _WORDS.get(happening.what) or (happening.status, _ENDS.get(happening.status, "white"))
    text = plain(_TEXTS[happening.what](happening))
    if not color:
        return f"{clock(happening.time)}  {word:<{_WIDE}}  {text}"
    dim = click.style(clock(happening.time), dim=True)
    return f"{dim}  {click.style(f'{word:<{_WIDE}}', fg=tint)}  {text}"


def short(id: str) -> str:
    """Return the end of an id: what sets it apart from others of the same moment."""
    return id[-8:]


def clock(ms: int) -> str:
    """Return the time of day here, to the millisecond."""
    return f"{time.strftime('%H:%M:%S', time.localtime(ms / 1_000))}.{ms % 1_000:03d}"


def span(ms: int) -> str:
    """Return a length of time: `40 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if ms < 1_000:
        return f"{max(ms, 0)} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.1f} s".replace(".0 s", " s")
    minutes, seconds = divmod(ms // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _event(it: Happening) -> str:
    listeners = f"  → {_names(it.functions)}" if it.functions else ""
    return f"{it.event}  {short(it.event_id)}{listeners}" + (f"  {it.hint}" if it.hint else "")


def _refused(it: Happening) -> str:
    return f"{it.event or 'an event'}: {it.error} ({it.status})"


def _run(it: Happening) -> str:
    return f"{it.function}  run {short(it.run_id)}"


def _ended(it: Happening) -> str:
    if it.status == "skipped":
        return f"{_run(it)}" + (f"  {it.error}" if it.error else "")
    took = f"{_run(it)}  {'after' if it.error else 'in'} {span(it.time - it.started_at)}"
    return f"{took}: {it.error}" if it.error else took


def _failed(it: Happening) -> str:
    step = f", step {it.step}" if it.step else ""
    attempt = f"attempt {it.attempt} of {it.attempts}" if it.attempts else f"attempt {it.attempt}"
    after = f"retry in {span(it.retry_at - it.time)}" if it.retry_at else "no more retries"
    return f"{_run(it)}{step}: {it.error}  ({attempt}, {after})"


def _app(it: Happening) -> str:
    return f"{it.app}  {it.url}" if it.app and it.app != it.url else it.url


def _synced(it: Happening) -> str:
    count = len(it.functions)
    told = f"{_app(it)}  {count} function{'' if count == 1 else 's'}"
    news = [
        f"{sign} {_names(names)}"
        for sign, names in (("+", it.added), ("~", it.changed), ("-", it.removed)) if names
    ]  # fmt: skip
    return told + (f": {'  '.join(news)}" if news else "") + (f"  {it.hint}" if it.hint else "")


def _away(it: Happening) -> str:
    since = f"no answer since {clock(it.since)[:8]}" if it.since else "no answer"
    return f"{_app(it)}  {since}; {it.hint}"


def _app_refused(it: Happening) -> str:
    return f"{_app(it)}  {it.error}" + (f"; {it.hint}" if it.hint else "")


def _folded(it: Happening) -> str:
    counts = [f"{count:,} {_COUNTED.get(What(what), what)}" for what, count in it.counts.items()]
    return f"and {', '.join(counts)}, too many to show one by one"


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


_TEXTS: Final[dict[What, Callable[[Happening], str]]] = {
    What.EVENT: _event,
    What.EVENT_REFUSED: _refused,
    What.RUN_STARTED: _run,
    What.STEP_FAILED: _failed,
    What.RUN_ENDED: _ended,
    What.RUN_FAILED: _ended,
    What.APP_FOUND: _app,
    What.APP_SYNCED: _synced,
    What.APP_UNREACHABLE: _away,
    What.APP_REFUSED: _app_refused,
    What.APP_ERROR: _app_refused,
    What.APP_BACK: _synced,
    What.APP_REMOVED: _app,
    What.FOLDED: _folded,
}
