"""Every limit of the protocol in one place (`protocol/execution.md` §0)."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

DEFAULT_RETRIES: Final = 4
MAX_RETRIES: Final = 20
MAX_STEPS: Final = 1_000
MAX_OPS: Final = 1_000
#: Steps of a run that are open at once: planned, sleeping, waiting.
MAX_OPEN_STEPS: Final = 1_000
#: Steps that a run may plan altogether, for each that it may save.
MAX_PLANS_PER_STEP: Final = 10
MAX_STEP_OUTPUT: Final = 4 * MIB
MAX_STEP_INPUT: Final = 4 * MIB
MAX_RESPONSE: Final = 8 * MIB
MAX_REQUEST: Final = 4 * MIB
MAX_INLINE_STATE: Final = MAX_REQUEST - KIB
MAX_STATE: Final = 32 * MIB
MAX_EVENT: Final = 3 * MIB
MAX_EVENTS: Final = 5_000
MAX_EVENT_NAME: Final = 1_000  # characters
MAX_TRIGGER_NAME: Final = 255  # characters of an event's name in a trigger
MAX_WAIT_MS: Final = 366 * 86_400_000
DEFAULT_WAIT_MS: Final = 365 * 86_400_000
MAX_DURATION_TEXT: Final = 1_000  # characters of a duration such as 1h30m
IDEMPOTENCY_MS: Final = 86_400_000
MAX_DEFERS: Final = 20
MAX_DEFER_INPUT: Final = 4 * MIB
MAX_DEFER_META: Final = 32 * KIB
CALL_TIMEOUT_S: Final = 7_200.0
PING_TIMEOUT_S: Final = 10.0

# What an HTTP client may ask of the server's port (`docs/reference/limits.md`).
MAX_BODY: Final = 16 * MIB
MAX_EVENTS_BODY: Final = 64 * MIB
MAX_MESSAGE: Final = 2 * MAX_EVENTS_BODY  # a body with its chunks' framing
MAX_HEAD: Final = 64 * KIB
MAX_HEADERS: Final = 128
MAX_URL: Final = 16 * KIB
MAX_CONNECTIONS: Final = 10_000
MAX_PIPELINED: Final = 32  # requests that wait behind the one that is being answered
MAX_UNKNOWN_BODY: Final = 16 * KIB  # where nobody is asked who they are
MAX_UNKNOWN_BYTES: Final = 32 * MIB  # of requests that are not whole, of all who have shown no credential
HEAD_TIMEOUT_S: Final = 20.0
BODY_IDLE_S: Final = 30.0
BODY_RATE: Final = 500.0  # bytes per second, after the first BODY_IDLE_S
STREAM_IDLE_S: Final = 15 * 60.0  # what is published while it is made comes as slowly as a model thinks
WRITE_IDLE_S: Final = 60.0
#: How long a client that sends no more may wait for its answer (seconds): it may have gone.
HALF_CLOSED_S: Final = 30.0
KEEP_ALIVE_S: Final = 75.0
HANDSHAKE_S: Final = 10.0  # until a WebSocket is open, and until a closing one is closed
LINGER_S: Final = 2.0

# A search among runs or events.
MAX_SEARCH: Final = 8 * KIB
MAX_SEARCH_COMPARISONS: Final = 100
MAX_SEARCH_WORDS: Final = 20

# What one GraphQL request may cost.
GQL_BODY: Final = 4 * MIB
GQL_TEXT: Final = 128 * KIB
GQL_TOKENS: Final = 10_000
GQL_DEPTH: Final = 40
GQL_FIELDS: Final = 2_000  # of the document, with fragments in place of their names
GQL_ROOTS: Final = 50
GQL_SAME_NAME: Final = 50
GQL_FRAGMENTS: Final = 100
GQL_COST: Final = 100_000
GQL_RESULT_FIELDS: Final = 300_000
GQL_RESULT_BYTES: Final = 32 * MIB
GQL_SECONDS: Final = 30.0
GQL_WAITING: Final = 100
GQL_SOCKET_OPERATIONS: Final = 10

#: Delay in ms before the retry that follows failed attempt n (0-based); the last entry repeats.
BACKOFF_MS: Final = tuple(s * 1_000 for s in (15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200))
BACKOFF_JITTER_MS: Final = 30_000

ACCOUNT_ID: Final = "00000000-0000-4000-a000-000000000000"
ENV_ID: Final = "00000000-0000-4000-b000-000000000000"
#: Work that one evaluation of an expression may do. A unit is about 0.1 µs: a node of the text, or an element of a list
#: that is looked at, or 32 bytes of text that are searched or written.
EXPRESSION_WORK: Final = 100_000
#: Values (elements of lists, members of objects) that expressions look at in one part of an event.
EXPRESSION_VALUES: Final = 50_000
MIN_PASSWORD: Final = 10  # characters
MAX_PASSWORD: Final = 1_024
