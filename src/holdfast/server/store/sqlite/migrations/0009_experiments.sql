-- Experiments and scores, which runs tell as metadata: here by what they are asked for. What was stored before has no rows.

CREATE TABLE experiment_runs (
    function_id TEXT NOT NULL,
    name TEXT NOT NULL,
    run_id TEXT NOT NULL,
    variant TEXT NOT NULL,
    strategy TEXT NOT NULL,
    variants TEXT NOT NULL,
    weights TEXT NOT NULL,
    PRIMARY KEY (function_id, name, run_id)
) WITHOUT ROWID;
CREATE INDEX experiment_runs_by_run ON experiment_runs (run_id);

-- `step_id` is empty for scores of runs.
CREATE TABLE scores (
    run_id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run_id, step_id, name)
) WITHOUT ROWID;

CREATE TRIGGER experiment_run_removed AFTER DELETE ON runs
BEGIN
    DELETE FROM experiment_runs WHERE run_id = old.id;
    DELETE FROM scores WHERE run_id = old.id;
END;
