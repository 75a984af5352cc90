-- Telemetry: spans of user code, metadata of runs and steps.

-- Metadata that came over HTTP, as it came: folded in the order of the ids (ULIDs) when it is read.
CREATE TABLE metadata (
    run_id TEXT NOT NULL,
    id TEXT NOT NULL,
    scope TEXT NOT NULL,
    step_id TEXT NOT NULL,
    attempt INTEGER,
    span_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    op TEXT NOT NULL,
    "values" TEXT NOT NULL,
    PRIMARY KEY (run_id, id)
) WITHOUT ROWID;

-- The trace that the sender of an event was in, as JSON; only of events that came with one.
CREATE TABLE event_traces (
    event_id TEXT PRIMARY KEY,
    trace TEXT NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER event_trace_dropped AFTER DELETE ON events
BEGIN
    DELETE FROM event_traces WHERE event_id = old.id;
END;

-- Spans of user code by run; `size` is that of the JSON in bytes, times are ns since the epoch.
CREATE TABLE user_spans (
    run_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    size INTEGER NOT NULL,
    span TEXT NOT NULL,
    PRIMARY KEY (run_id, trace_id, span_id)
) WITHOUT ROWID;
