"""What a trace tells of a sleep or a wait, while it lasts and when it has ended (the `info` of a span)."""

from __future__ import annotations

from holdfast.server.model.job import Job, JobKind, Pause, PauseKind

Info = dict[str, str | int | bool]


def of_pause(pause: Pause) -> Info:
    """Return whom or what a pause waits for, and until when."""
    info: Info = {"timeout": pause.expires, "timed_out": False}
    if pause.kind is PauseKind.INVOKE:
        return {**info, "function": pause.function, "event_id": pause.trigger, "run_id": pause.child}
    if pause.kind is PauseKind.SIGNAL:
        return {**info, "signal": pause.key or pause.lost}
    return {**info, "event": pause.event, "expression": pause.expression}


def of_job(job: Job) -> Info | None:
    """Until when a step sleeps, if the job is a sleep."""
    return {"until": job.due} if job.kind is JobKind.SLEEP else None
