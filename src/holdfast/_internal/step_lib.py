"""What `step_lib` holds elsewhere."""

from holdfast.sdk.groups import Group, GroupSync
from holdfast.sdk.memos import StepMemos
from holdfast.sdk.step import Step
from holdfast.sdk.step_sync import StepSync

__all__ = ["Group", "GroupSync", "Step", "StepMemos", "StepSync"]
