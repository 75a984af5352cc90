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

CREATE INDEX events_by_name ON events (name, id);

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

CREATE TRIGGER run_deferred AFTER INSERT ON runs
WHEN instr(new.detail, '"deferred_from"') AND json_extract(new.detail, '$.deferred_from') IS NOT NULL
BEGIN
    INSERT OR REPLACE INTO deferred_runs VALUES (new.id, json_extract(new.detail, '$.deferred_from'));
END;

CREATE TRIGGER run_debugged AFTER INSERT ON runs
WHEN instr(new.detail, '"debug_run_id"') AND json_extract(new.detail, '$.debug_run_id') IS NOT NULL
BEGIN
    INSERT OR REPLACE INTO debug_runs VALUES (new.id, new.function_id);
END;

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

CREATE TRIGGER run_began_ended AFTER INSERT ON runs
WHEN new.status BETWEEN 1 AND 3 AND json_extract(new.detail, '$.debug_run_id') IS NULL
BEGIN
    INSERT INTO run_totals
    VALUES (substr(new.id, 1, 5), new.function_id, new.status, 1, new.started_at, new.started_at, new.ended_at, new.ended_at)
    ON CONFLICT DO UPDATE SET n = n + 1,
        first_started_at = min(ifnull(first_started_at, new.started_at), ifnull(new.started_at, first_started_at)),
        last_started_at = max(ifnull(last_started_at, new.started_at), ifnull(new.started_at, last_started_at)),
        first_ended_at = min(ifnull(first_ended_at, new.ended_at), ifnull(new.ended_at, first_ended_at)),
        last_ended_at = max(ifnull(last_ended_at, new.ended_at), ifnull(new.ended_at, last_ended_at));
END;

CREATE TRIGGER run_ended AFTER UPDATE OF status ON runs
WHEN new.status BETWEEN 1 AND 3 AND new.status <> old.status AND NOT EXISTS (SELECT 1 FROM debug_runs WHERE run_id = new.id)
BEGIN
    INSERT INTO run_totals
    VALUES (substr(new.id, 1, 5), new.function_id, new.status, 1, new.started_at, new.started_at, new.ended_at, new.ended_at)
    ON CONFLICT DO UPDATE SET n = n + 1,
        first_started_at = min(ifnull(first_started_at, new.started_at), ifnull(new.started_at, first_started_at)),
        last_started_at = max(ifnull(last_started_at, new.started_at), ifnull(new.started_at, last_started_at)),
        first_ended_at = min(ifnull(first_ended_at, new.ended_at), ifnull(new.ended_at, first_ended_at)),
        last_ended_at = max(ifnull(last_ended_at, new.ended_at), ifnull(new.ended_at, last_ended_at));
END;

CREATE TRIGGER run_left_status AFTER UPDATE OF status ON runs
WHEN old.status BETWEEN 1 AND 3 AND new.status <> old.status AND NOT EXISTS (SELECT 1 FROM debug_runs WHERE run_id = old.id)
BEGIN
    UPDATE run_totals SET n = n - 1
    WHERE bucket = substr(old.id, 1, 5) AND function_id = old.function_id AND status = old.status;
END;

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
CREATE TRIGGER event_received AFTER INSERT ON events
WHEN NOT EXISTS (SELECT 1 FROM events WHERE id = new.id AND n < new.n)
BEGIN
    INSERT INTO event_totals VALUES (new.received_at >> 24, new.name, 1, new.id, new.id)
    ON CONFLICT DO UPDATE SET n = n + 1, low = min(low, excluded.low), high = max(high, excluded.high);
END;

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
