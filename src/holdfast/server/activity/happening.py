"""One thing that happened: an event, a run, a step, an app."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class What(StrEnum):
    """What happened. The value is the message in logs."""

    EVENT = "event received"
    EVENT_REFUSED = "event refused"
    RUN_STARTED = "run started"
    STEP_FAILED = "step failed"
    RUN_ENDED = "run ended"
    RUN_FAILED = "run failed"
    APP_FOUND = "app found"
    APP_SYNCED = "app synced"
    APP_UNREACHABLE = "app unreachable"
    APP_REFUSED = "app refused"
    APP_ERROR = "app sync failed"
    APP_BACK = "app is back"
    APP_REMOVED = "app removed"
    FOLDED = "more happened"


#: What a server tells even if nobody asked for all that happens.
TROUBLE = frozenset({What.RUN_FAILED, What.APP_UNREACHABLE, What.APP_REFUSED, What.APP_ERROR})
ALWAYS = TROUBLE | {What.APP_FOUND, What.APP_SYNCED, What.APP_BACK, What.APP_REMOVED}


class Happening(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened. Times are ms since the epoch; what it has no use for is empty."""

    what: What
    time: int
    event: str = ""  # the event's name
    event_id: str = ""
    run_id: str = ""
    function: str = ""  # slug
    step: str = ""  # display name
    status: str = ""  # of a run that ended: completed, failed, cancelled or skipped; of a refusal, the HTTP status
    started_at: int = 0  # of a run
    attempt: int = 0  # from 1
    attempts: int = 0  # how many there may be
    retry_at: int = 0
    error: str = ""  # the first line
    app: str = ""
    url: str = ""
    since: int = 0  # when an app answered last
    functions: tuple[str, ...] = ()  # an event's listeners; an app's functions
    added: tuple[str, ...] = ()  # functions of an app, against its last sync
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    hint: str = ""  # what to do
    counts: dict[str, int] = {}  # of what was too much to be told one by one

    @property
    def bad(self) -> bool:
        """Whether it is trouble, or an attempt that failed."""
        return self.what in TROUBLE or self.what in {What.STEP_FAILED, What.EVENT_REFUSED} or bool(self.hint)


def refused(now: int, status: int, text: str, subject: str = "") -> Happening:
    """Return what to tell of a refused request: an event, or the `subject` that says what else it was."""
    return Happening(what=What.EVENT_REFUSED, time=now, event=subject, status=str(status), error=first_line(text))


def first_line(text: str, most: int = 300) -> str:
    """Return the first line of a text that says anything, cut to a length."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= most else f"{line[: most - 1]}…"
