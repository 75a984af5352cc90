"""Ways to choose a variant of an experiment: `ctx.group.experiment(..., select=experiment.bucket(user_id))`."""

from holdfast.sdk.experiments import ExperimentResult, Selection, bucket, custom, fixed, weighted
from holdfast.sdk.scores import ExperimentRef

__all__ = ["ExperimentRef", "ExperimentResult", "Selection", "bucket", "custom", "fixed", "weighted"]
