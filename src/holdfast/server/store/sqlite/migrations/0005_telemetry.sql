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
