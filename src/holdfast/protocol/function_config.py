"""The configuration of a function, typed and with its units decoded.

Texts are kept as the SDK wrote them, since APIs show them; numbers beside them (`…_ns`) are what the engine computes
with. Shapes and rules: `protocol/execution.md` §1.5, `protocol/flow-control.md` §4.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from holdfast.protocol.ids import xxh36

DEFAULT_RETRIES: Final = 4
MAX_RETRIES: Final = 20


class Trigger(Struct, frozen=True):
    """What starts a run: an event (by name or pattern, with a condition) or a cron schedule.

    Exactly one of `event` and `cron` is set in a valid function. `jitter_ns` is None for a text that is no duration.
    `catch_up` is an extension of ours: which missed ticks are made up for, empty for the server's own choice.
    """

    event: str | None = None
    expression: str = ""
    cron: str | None = None
    jitter: str = ""
    jitter_ns: int | None = 0
    catch_up: str = ""


class Step(Struct, frozen=True):
    """The one step of a function: where it is called. `url` and `retries` are None if the SDK sent none."""

    id: str = ""
    name: str = ""
    url: str | None = None
    retries: int | None = None


class Scope(StrEnum):
    """Among which runs a concurrency limit counts; `APP` is the server's own and not for users."""

    FUNCTION = "Fn"
    ENVIRONMENT = "Env"
    ACCOUNT = "Account"
    APP = "App"


class ConcurrencyLimit(Struct, frozen=True):
    """At most `limit` at a time, for each value of `key` if that is set."""

    limit: int
    key: str = ""
    scope: Scope = Scope.FUNCTION

    @property
    def hash(self) -> str:
        """The key expression's hash, which limits of several functions share; empty without a key."""
        return xxh36(self.key) if self.key else ""


class Concurrency(Struct, frozen=True):
    """Limits on running steps and on whole runs, each by rising limit. `declared` tells "none" from "not said"."""

    steps: tuple[ConcurrencyLimit, ...] = ()
    runs: tuple[ConcurrencyLimit, ...] = ()
    declared: bool = False


class Throttle(Struct, frozen=True):
    """Run starts: `limit` (1 or more) per period, `burst` more after a pause. `period_ns` is whole seconds, never 0."""

    limit: int
    period: str
    period_ns: int
    burst: int = 0
    key: str = ""


class RateLimit(Struct, frozen=True):
    """Accepted events per period. `period_ns` is None for a text that is no duration."""

    limit: int
    period: str
    period_ns: int | None
    key: str = ""


class Debounce(Struct, frozen=True):
    """Quiet time before a run, at most `timeout` in all. Nanoseconds are None for texts that are no durations."""

    period: str
    period_ns: int | None
    key: str = ""
    timeout: str = ""
    timeout_ns: int | None = None


class Batch(Struct, frozen=True):
    """Events gathered into one run. `timeout_ns` is None for a text that is no plain Go duration."""

    max_size: int
    timeout: str
    timeout_ns: int | None
    key: str = ""
    condition: str = ""


class Cancel(Struct, frozen=True):
    """An event that cancels runs, if `condition` holds. `timeout` is a duration or an RFC 3339 time, empty for none."""

    event: str
    condition: str = ""
    timeout: str = ""


class Timeouts(Struct, frozen=True):
    """How long a run may wait to start and take to finish; nanoseconds are None if not said or no durations."""

    start: str = ""
    start_ns: int | None = None
    finish: str = ""
    finish_ns: int | None = None


class SingletonMode(StrEnum):
    """What happens to a second run: it is skipped, or it cancels the first."""

    SKIP = "skip"
    CANCEL = "cancel"


class Singleton(Struct, frozen=True):
    """One run at a time, for each value of `key` if that is set."""

    mode: SingletonMode = SingletonMode.SKIP
    key: str = ""


class Checkpoint(Struct, frozen=True):
    """How the SDK checkpoints; shown, never used. Durations are texts or nanoseconds, as sent."""

    batch_steps: int | None = None
    batch_interval: str | int | None = None
    max_runtime: str | int | None = None


class FunctionConfig(Struct, frozen=True):
    """One function as registered. `slug` is the composite id; `priority` is its expression, empty for none."""

    slug: str
    name: str
    triggers: tuple[Trigger, ...] = ()
    steps: tuple[Step, ...] = ()
    concurrency: Concurrency = Concurrency()
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    priority: str = ""
    cancel: tuple[Cancel, ...] = ()
    timeouts: Timeouts | None = None
    singleton: Singleton | None = None
    checkpoint: Checkpoint | None = None

    @property
    def url(self) -> str:
        """Where the function is called."""
        return (self.steps[0].url or "") if self.steps else ""

    @property
    def retries(self) -> int:
        """Retries after the first attempt, 0 to 20."""
        given = self.steps[0].retries if self.steps else None
        return DEFAULT_RETRIES if given is None else given

    @property
    def max_attempts(self) -> int:
        """The first attempt and its retries."""
        return self.retries + 1
