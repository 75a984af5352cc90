"""Outputs of steps kept elsewhere: the server gets a place to find them by."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from holdfast.sdk.consts import Opcode
from holdfast.sdk.middleware import MiddlewareSync
from holdfast.sdk.typed import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.function import Function
    from holdfast.sdk.memos import StepMemos
    from holdfast.sdk.middleware import TransformOutputResult

_MARK: Final = "__REMOTE_STATE__"
_STRATEGY: Final = "__STRATEGY__"
_LETTERS: Final = string.ascii_letters + string.digits


class StateDriver(Protocol):
    """Keeps outputs."""

    def load_steps(self, steps: StepMemos) -> None:
        """Put outputs in the place of what stands for them."""
        ...

    def save_step(self, run_id: str, value: object) -> dict[str, object]:
        """Keep an output; return what stands for it."""
        ...


class RemoteStateMiddleware(MiddlewareSync):
    """Keeps outputs of steps by a driver."""

    def __init__(self, client: Inngest, raw_request: object, driver: StateDriver) -> None:
        super().__init__(client, raw_request)
        self._driver = driver
        self._run_id = ""

    @classmethod
    def factory(cls, driver: StateDriver) -> Callable[[Inngest, object], RemoteStateMiddleware]:
        """Return what a client's or a function's `middleware` takes."""
        return lambda client, raw_request: cls(client, raw_request, driver)

    def transform_input(self, ctx: Context | ContextSync, function: Function[Any], steps: StepMemos) -> None:  # noqa: ARG002
        """Load what is kept elsewhere."""
        self._run_id = ctx.run_id
        self._driver.load_steps(steps)

    def transform_output(self, result: TransformOutputResult) -> None:
        """Keep the output of a step that ran."""
        if result.step is None or result.step.op is not Opcode.STEP_RUN or not result.has_output():
            return
        result.output = self._driver.save_step(self._run_id, result.output)


class _Marking:
    """The members of what stands for an output: that it does, and which driver keeps it."""

    _marker: Final = _MARK
    _strategy_marker: Final = _STRATEGY


class InMemoryDriver(_Marking, StateDriver):
    """Keeps outputs in this process; for tests."""

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}

    def load_steps(self, steps: StepMemos) -> None:
        """Put outputs in the place of what stands for them."""
        for step in steps.values():
            if (place := _place(step.data, "inngest/memory")) is not None:
                step.data = self._kept[str(place["key"])]

    def save_step(self, run_id: str, value: object) -> dict[str, object]:  # noqa: ARG002
        """Keep an output; return what stands for it."""
        key = _new_key()
        self._kept[key] = value
        return {_MARK: True, _STRATEGY: "inngest/memory", "key": key}


class S3Driver(_Marking, StateDriver):
    """Keeps outputs in a bucket, through a client of boto3."""

    def __init__(self, *, bucket: str, client: Any) -> None:
        self._bucket = bucket
        self._client = client

    def load_steps(self, steps: StepMemos) -> None:
        """Put outputs in the place of what stands for them."""
        for step in steps.values():
            if (place := _place(step.data, "inngest/s3")) is not None:
                found = self._client.get_object(Bucket=place["bucket"], Key=place["key"])
                step.data = msgspec.json.decode(found["Body"].read())

    def save_step(self, run_id: str, value: object) -> dict[str, object]:
        """Keep an output; return what stands for it."""
        key = f"inngest/remote_state/{run_id}/{_new_key()}"
        self._client.put_object(Body=encode(value), Bucket=self._bucket, Key=key)
        return {_MARK: True, _STRATEGY: "inngest/s3", "bucket": self._bucket, "key": key}


def _place(data: object, strategy: str) -> dict[str, Any] | None:
    if not isinstance(data, dict):
        return None
    found = cast("dict[str, Any]", data)
    return found if _MARK in found and found.get(_STRATEGY) == strategy else None


def _new_key() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(32))
