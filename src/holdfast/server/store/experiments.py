"""What updates of metadata come to in the tables of experiments and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.server.model.experiment import EXPERIMENT, SCORE, read_choice, read_scores
from holdfast.server.store.store import Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_encode = msgspec.json.encode


def noted(run_id: str, step_id: str, kind: str, op: str, values: Mapping[str, object]) -> Iterator[Write]:
    """The writes that an update of metadata comes to; `step_id` is hashed, and empty for the run."""
    if kind == EXPERIMENT and op != "delete":
        choice = read_choice(values)
        if choice is not None:
            variants, weights = _encode(choice.variants).decode(), _encode(choice.weights).decode()
            yield Write(
                "experiments.add_run", [(run_id, choice.name, choice.variant, choice.strategy, variants, weights)]
            )
    elif kind == SCORE and op == "delete":
        yield Write("experiments.drop_score", [(run_id, step_id, name) for name in values])
    elif kind == SCORE:
        if op == "set":
            yield Write("experiments.drop_scores", [(run_id, step_id)])
        yield Write("experiments.add_score", [(run_id, step_id, name, value) for name, value in read_scores(values)])
