"""Names of the protocol that the SDK sends and reads: headers, query parameters, opcodes, error codes."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from holdfast import __version__

AUTHOR: Final = "inngest"


class Identity(NamedTuple):
    """How a client names itself to servers: a language tag and a version."""

    language: str
    version: str

    @property
    def registered(self) -> str:
        """The `sdk` of a registration."""
        return f"{self.language}:v{self.version}"

    @property
    def header(self) -> str:
        """The value of `x-inngest-sdk` and of `user-agent`."""
        return f"inngest-{self.registered}"


#: Of `Client`.
OWN: Final = Identity("py-holdfast", __version__)
#: Of `Inngest`: servers tell dialects by this tag and version, so it names the one that it speaks, and then itself.
OFFICIAL: Final = Identity("py", f"0.5.19+holdfast.{__version__}")
DEFAULT_API_ORIGIN: Final = "https://api.inngest.com/"
DEFAULT_EVENT_API_ORIGIN: Final = "https://inn.gs/"
DEFAULT_SERVE_PATH: Final = "/api/inngest"
DEV_SERVER_ORIGIN: Final = "http://127.0.0.1:8288/"
DEV_EVENT_KEY: Final = "NO_EVENT_KEY_SET"
#: The step id of a call that is to find out what comes next, and of a function's only registered step.
ROOT_STEP_ID: Final = "step"
UNSPECIFIED_STEP_ID: Final = ROOT_STEP_ID
PREFERRED_EXECUTION_VERSION: Final = "2"
#: Bytes of a request's body unless `HOLDFAST_MAX_BODY_BYTES` says otherwise; servers send far less.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
INSPECTION_VERSION: Final = "2024-05-24"


class Streaming(enum.Enum):
    """Whether answers are kept alive by blanks until the function is done."""

    DISABLE = "disable"
    FORCE = "force"


class ParallelMode(enum.Enum):
    """When a parallel group goes on: after all of its steps (WAIT), or after each of them (RACE)."""

    RACE = "race"
    WAIT = "wait"


class EnvKey(enum.Enum):
    """Environment variables that a client or a handler reads."""

    API_BASE_URL = "INNGEST_API_BASE_URL"
    BASE_URL = "INNGEST_BASE_URL"
    CONNECT_MAX_WORKER_CONCURRENCY = "INNGEST_CONNECT_MAX_WORKER_CONCURRENCY"
    DEV = "INNGEST_DEV"
    ENABLE_UNAUTHED_SYNC = "INNGEST_ENABLE_UNAUTHED_SYNC"
    ENV = "INNGEST_ENV"
    EVENT_API_BASE_URL = "INNGEST_EVENT_API_BASE_URL"
    EVENT_KEY = "INNGEST_EVENT_KEY"
    MAX_BODY_BYTES = "HOLDFAST_MAX_BODY_BYTES"
    RAILWAY_GIT_BRANCH = "RAILWAY_GIT_BRANCH"
    RENDER_GIT_BRANCH = "RENDER_GIT_BRANCH"
    SERVE_ORIGIN = "INNGEST_SERVE_ORIGIN"
    SERVE_PATH = "INNGEST_SERVE_PATH"
    SIGNING_KEY = "INNGEST_SIGNING_KEY"
    SIGNING_KEY_FALLBACK = "INNGEST_SIGNING_KEY_FALLBACK"
    STREAMING = "INNGEST_STREAMING"
    THREAD_POOL_MAX_WORKERS = "INNGEST_THREAD_POOL_MAX_WORKERS"
    VERCEL_GIT_BRANCH = "VERCEL_GIT_COMMIT_REF"


class Framework(enum.Enum):
    """Values of `x-inngest-framework`."""

    AIOHTTP = "aiohttp"
    ASGI = "asgi"
    AWS_LAMBDA = "aws-lambda"
    CONNECT = "connect"
    DIGITAL_OCEAN = "digitalocean"
    DJANGO = "django"
    FAST_API = "fast_api"
    FLASK = "flask"
    LITESTAR = "litestar"
    QUART = "quart"
    STARLETTE = "starlette"
    TORNADO = "tornado"
    WSGI = "wsgi"


class HeaderKey(enum.Enum):
    """Header names, in lower case."""

    AUTHORIZATION = "authorization"
    CONTENT_TYPE = "content-type"
    ENV = "x-inngest-env"
    EVENT_ID_SEED = "x-inngest-event-id-seed"
    EXPECTED_SERVER_KIND = "x-inngest-expected-server-kind"
    FRAMEWORK = "x-inngest-framework"
    GENERATION_ID = "x-inngest-generation-id"
    JOB_ID = "x-inngest-job-id"
    NO_RETRY = "x-inngest-no-retry"
    REQUEST_ID = "x-request-id"
    REQUEST_VERSION = "x-inngest-req-version"
    RETRY_AFTER = "retry-after"
    SDK = "x-inngest-sdk"
    SDK_HANDLED = "x-inngest-sdk-handled"
    SERVER_KIND = "x-inngest-server-kind"
    SERVER_TIMING = "server-timing"
    SIGNATURE = "x-inngest-signature"
    SYNC_KIND = "x-inngest-sync-kind"
    USER_AGENT = "user-agent"


class QueryParamKey(enum.Enum):
    """Query parameters of a call or a sync."""

    FUNCTION_ID = "fnId"
    PROBE = "probe"
    STEP_ID = "stepId"
    SYNC_ID = "deployId"


class InternalEvents(enum.Enum):
    """Events that a server sends about runs."""

    FUNCTION_FAILED = "inngest/function.failed"


class Opcode(enum.Enum):
    """What is reported of a step. `TransformOutputResult.step.op` is one of these."""

    AI_GATEWAY = "AIGateway"
    DEFER_ABORT = "DeferAbort"
    DEFER_ADD = "DeferAdd"
    DISCOVERY_REQUEST = "DiscoveryRequest"
    GATEWAY = "Gateway"
    INVOKE = "InvokeFunction"
    PLANNED = "StepPlanned"
    RUN_COMPLETE = "RunComplete"
    SLEEP = "Sleep"
    STEP_ERROR = "StepError"
    STEP_FAILED = "StepFailed"
    STEP_RUN = "StepRun"
    WAIT_FOR_EVENT = "WaitForEvent"
    WAIT_FOR_SIGNAL = "WaitForSignal"


class Probe(enum.Enum):
    """What a server may ask for with `?probe=`."""

    TRUST = "trust"


class ServerKind(enum.Enum):
    """The mode of a client or a server."""

    CLOUD = "cloud"
    DEV_SERVER = "dev"


class SyncKind(enum.Enum):
    """How an app's functions get to the server: in the answer to its PUT, or by a request of the app."""

    IN_BAND = "in_band"
    OUT_OF_BAND = "out_of_band"


class ErrorCode(enum.Enum):
    """The `code` of an error object."""

    ASYNC_UNSUPPORTED = "async_unsupported"
    BODY_INVALID = "body_invalid"
    EVENT_KEY_UNSPECIFIED = "event_key_unspecified"
    FUNCTION_CONFIG_INVALID = "function_config_invalid"
    FUNCTION_NOT_FOUND = "function_not_found"
    HEADER_MISSING = "header_missing"
    NON_RETRIABLE_ERROR = "non_retriable_error"
    OUTPUT_UNSERIALIZABLE = "output_unserializable"
    QUERY_PARAM_MISSING = "query_param_missing"
    REGISTRATION_FAILED = "registration_failed"
    RETRY_AFTER_ERROR = "retry_after_error"
    SEND_EVENT_FAILED = "send_event_failed"
    SERVER_KIND_MISMATCH = "server_kind_mismatch"
    SIGNING_KEY_UNSPECIFIED = "signing_key_unspecified"
    SIG_VERIFICATION_FAILED = "sig_verification_failed"
    STEP_ERRORED = "step_errored"
    STEP_NESTED = "step_nested"
    STEP_UNEXPECTED = "step_unexpected"
    UNKNOWN = "unknown"
    URL_INVALID = "url_invalid"
