-- Reading: indexes of lists, and totals, so that no page and no count visits rows that it does not show (docs/adr/0007).

-- With all that filters and orders ask for, so that only the rows of a page are read. Runs that have not ended are in one
-- index; the others hold ended ones and are written once, when a run ends. (SQLite is slow to see whether a row belongs into an
-- index if its condition is a list of three: hence BETWEEN for completed, failed and cancelled. The sign keeps it from seeking
-- by the condition where a query names one status.)
CREATE INDEX runs_live ON runs (id, status, function_id, started_at) WHERE status IN (0, 5);
CREATE INDEX runs_by_status ON runs (status, id, function_id) WHERE +status BETWEEN 1 AND 3;
CREATE INDEX runs_by_function ON runs (function_id, status, id) WHERE +status BETWEEN 1 AND 3;

-- The last column is there for SQLite, which does not see that the first one stands for it.
CREATE INDEX runs_by_started_at ON runs (ifnull(started_at, 0), id, status, function_id, started_at)
WHERE +status BETWEEN 1 AND 3;
CREATE INDEX runs_by_ended_at ON runs (ifnull(ended_at, 0), id, status, function_id, ended_at)
WHERE +status BETWEEN 1 AND 3;

CREATE INDEX events_by_name ON events (name, id, n);

-- Runs that another one deferred, and debug runs: known when they are scheduled, and few.
CREATE TABLE deferred_runs (
    run_id TEXT PRIMARY KEY,
    parent_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX deferred_by_parent ON deferred_runs (parent_id, run_id);

CREATE TABLE debug_runs (
    run_id TEXT PRIMARY KEY,
    function_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX debug_by_function ON debug_runs (function_id, run_id);

-- Ended runs by the time in their id: five digits of it are 2^25 ms, about nine hours. The times are those between which all
-- runs of the row started and ended; they don't shrink when runs are removed.
CREATE TABLE run_totals (
    bucket TEXT NOT NULL,
    function_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    n INTEGER NOT NULL,
    first_started_at INTEGER,
    last_started_at INTEGER,
    first_ended_at INTEGER,
    last_ended_at INTEGER,
    PRIMARY KEY (bucket, function_id, status)
) WITHOUT ROWID;

CREATE TRIGGER run_removed AFTER DELETE ON runs
BEGIN
    UPDATE run_totals SET n = n - 1
    WHERE bucket = substr(old.id, 1, 5) AND function_id = old.function_id AND status = old.status
        AND NOT EXISTS (SELECT 1 FROM debug_runs WHERE run_id = old.id);
    DELETE FROM debug_runs WHERE run_id = old.id;
    DELETE FROM deferred_runs WHERE run_id = old.id;
END;

-- Events by the time of their reception: a bucket is 2^24 ms, about five hours. An id may say another time than that of
-- reception (senders can seed ids): `low` and `high` are the smallest and the greatest id of a bucket.
CREATE TABLE event_totals (
    bucket INTEGER NOT NULL,
    name TEXT NOT NULL,
    n INTEGER NOT NULL,
    low TEXT NOT NULL,
    high TEXT NOT NULL,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID;

-- Of an id that was stored more than once, the first copy counts.
CREATE TRIGGER event_removed AFTER DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM events WHERE id = old.id AND n < old.n)
BEGIN
    UPDATE event_totals SET n = n - 1 WHERE bucket = old.received_at >> 24 AND name = old.name;
    INSERT INTO event_totals
    SELECT received_at >> 24, name, 1, id, id FROM events
    WHERE id = old.id AND n = (SELECT min(n) FROM events WHERE id = old.id)
    ON CONFLICT DO UPDATE SET n = n + 1, low = min(low, excluded.low), high = max(high, excluded.high);
END;

-- What was stored before.
INSERT INTO deferred_runs SELECT id, json_extract(detail, '$.deferred_from') FROM runs
WHERE json_extract(detail, '$.deferred_from') IS NOT NULL;
INSERT INTO debug_runs SELECT id, function_id FROM runs WHERE json_extract(detail, '$.debug_run_id') IS NOT NULL;
INSERT INTO run_totals
SELECT substr(id, 1, 5), function_id, status, count(*), min(started_at), max(started_at), min(ended_at), max(ended_at)
FROM runs WHERE status BETWEEN 1 AND 3 AND id NOT IN (SELECT run_id FROM debug_runs) GROUP BY 1, 2, 3;
INSERT INTO event_totals SELECT received_at >> 24, name, count(*), min(id), max(id) FROM events e
WHERE n = (SELECT min(n) FROM events WHERE id = e.id) GROUP BY 1, 2;
