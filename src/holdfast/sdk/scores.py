"""Scores and metadata of runs and steps: how well a run did, and what else is worth knowing about it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from typing import Self

    from holdfast.sdk.client import Inngest

SCORE: Final = "inngest.score"
EXPERIMENT: Final = "inngest.experiment"
_MAX_NAME_BYTES: Final = 128
_BAD: Final = re.compile(r"[\x00-\x1f\x7f']")


class ExperimentRef(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that ran: what a score is about. It may be stored and sent, as `model_dump()` gives it."""

    experiment_name: str
    variant: str

    def model_dump(self, **_: object) -> dict[str, str]:
        """Return it as a dict."""
        return {"experiment_name": self.experiment_name, "variant": self.variant}

    @classmethod
    def model_validate(cls, raw: object) -> Self:
        """Return what `model_dump` gave; raise a ValueError for anything else."""
        return raw if isinstance(raw, cls) else msgspec.convert(raw, cls)


def check_score(run_id: object, step_id: object, name: object, value: object) -> None:
    """Raise ValueError that says what is wrong with a score."""
    if not isinstance(run_id, str) or not run_id.strip():
        raise ValueError("run_id must be the id of a run")
    if step_id is not None and (not isinstance(step_id, str) or not step_id.strip()):
        raise ValueError("step_id must be the id of a step, or be left out")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("the name of a score must be a non-empty string")
    if _BAD.search(name) or len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError("the name of a score has at most 128 UTF-8 bytes, no control characters and no single quotes")
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
        raise ValueError(f"a score is a finite number or a boolean, not {value!r}")


async def write(
    client: Inngest, run_id: str, step_id: str | None, kind: str, values: dict[str, Any], *, sync: bool
) -> None:
    """Merge values into the metadata of a run or a step; raise RequestFailedError if the server does not take them."""
    target = {"run_id": run_id} if step_id is None else {"run_id": run_id, "step_id": step_id}
    body = {"target": target, "metadata": [{"kind": kind, "op": "merge", "values": values}]}
    await client.api("POST", f"/v1/runs/{quote(run_id, safe='')}/metadata", body, sync=sync)


async def score(client: Inngest, run_id: str, step_id: str | None, name: str, value: float, *, sync: bool) -> None:
    """Store the score of a run or a step."""
    check_score(run_id, step_id, name, value)
    await write(client, run_id, step_id, SCORE, {name: {"value": value}}, sync=sync)


async def score_experiment(
    client: Inngest, experiment: ExperimentRef, run_id: str, name: str, value: float, *, sync: bool
) -> None:
    """Store the score of a variant, once it is noted that the run had this variant."""
    check_score(run_id, None, name, value)
    ref = ExperimentRef.model_validate(experiment)
    values = {"name": ref.experiment_name, "variant": ref.variant}
    await write(client, run_id, None, EXPERIMENT, values, sync=sync)
    await write(client, run_id, None, SCORE, {name: {"value": value}}, sync=sync)
