-- Sessions (`meta.sessions` of events) with the runs of each. Only runs whose events name sessions have rows here; those of
-- runs that were stored before this version have none.

-- The first and the last run tell when a session began and was active last: they stay when runs are removed.
CREATE TABLE event_sessions (
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    first_run TEXT NOT NULL,
    last_run TEXT NOT NULL,
    PRIMARY KEY (key, id)
) WITHOUT ROWID;
CREATE INDEX event_sessions_by_first_run ON event_sessions (key, first_run);
CREATE INDEX event_sessions_by_last_run ON event_sessions (key, last_run, id);

CREATE TABLE session_runs (
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (key, id, run_id)
) WITHOUT ROWID;
CREATE INDEX session_runs_by_run ON session_runs (run_id);

CREATE TRIGGER session_run_removed AFTER DELETE ON runs
BEGIN
    DELETE FROM event_sessions WHERE (key, id) IN (SELECT key, id FROM session_runs WHERE run_id = old.id)
        AND NOT EXISTS (
            SELECT 1 FROM session_runs o WHERE o.key = event_sessions.key AND o.id = event_sessions.id AND o.run_id <> old.id
        );
    DELETE FROM session_runs WHERE run_id = old.id;
END;
