"""Every limit of the protocol in one place (`protocol/execution.md` §0)."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

DEFAULT_RETRIES: Final = 4
MAX_RETRIES: Final = 20
MAX_STEPS: Final = 1_000
ABSOLUTE_MAX_STEPS: Final = 10_000
MAX_OPS: Final = 1_000
MAX_STEP_OUTPUT: Final = 4 * MIB
MAX_STEP_INPUT: Final = 4 * MIB
MAX_RESPONSE: Final = 8 * MIB
MAX_REQUEST: Final = 4 * MIB
MAX_INLINE_STATE: Final = MAX_REQUEST - KIB
MAX_STATE: Final = 32 * MIB
MAX_EVENT: Final = 3 * MIB
MAX_EVENTS: Final = 5_000
MAX_WAIT_MS: Final = 366 * 86_400_000
DEFAULT_WAIT_MS: Final = 365 * 86_400_000
MIN_RETRY_AFTER_MS: Final = 1_000
MAX_RETRY_AFTER_MS: Final = 86_400_000
IDEMPOTENCY_MS: Final = 86_400_000
MAX_DEFERS: Final = 20
MAX_DEFER_INPUT: Final = 4 * MIB
MAX_DEFER_META: Final = 32 * KIB
CALL_TIMEOUT_S: Final = 7_200.0
PING_TIMEOUT_S: Final = 10.0
POLL_INTERVAL_S: Final = 5.0

#: Delay in ms before the retry that follows failed attempt n (0-based); the last entry repeats.
BACKOFF_MS: Final = tuple(s * 1_000 for s in (15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200))
BACKOFF_JITTER_MS: Final = 30_000

ACCOUNT_ID: Final = "00000000-0000-4000-a000-000000000000"
ENV_ID: Final = "00000000-0000-4000-b000-000000000000"
