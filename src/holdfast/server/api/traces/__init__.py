"""Traces as they are shown: trees and histories built from a run's rows when they are asked for.

Pure functions of `holdfast.server.store.history.RunTrace` and the time; shapes are in `protocol/graphql.md` §10 to §14.
"""

from __future__ import annotations

from holdfast.server.api.traces.legacy_history import HistoryItem, build_history, history_output_seq
from holdfast.server.api.traces.legacy_tree import build_legacy_trace
from holdfast.server.api.traces.node import TraceNode
from holdfast.server.api.traces.span_output import (
    OutputRef,
    SpanOutput,
    StepError,
    answer_text,
    read_output,
    read_result,
    span_text,
)
from holdfast.server.api.traces.tree import build_trace

__all__ = [
    "HistoryItem",
    "OutputRef",
    "SpanOutput",
    "StepError",
    "TraceNode",
    "answer_text",
    "build_history",
    "build_legacy_trace",
    "build_trace",
    "history_output_seq",
    "read_output",
    "read_result",
    "span_text",
]
