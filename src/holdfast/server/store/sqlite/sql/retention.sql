-- Retention: what readers look for, what the loop deletes. Lists of ids come as one JSON array.

-- name: functions
-- All of them, archived ones included.
SELECT id, slug FROM functions

-- name: newest
-- The newest ended run of a function that is one too many.
SELECT id FROM (
    SELECT * FROM (SELECT id FROM runs INDEXED BY runs_by_function
                   WHERE function_id = :function AND +status BETWEEN 1 AND 3 AND status = 1 ORDER BY id DESC LIMIT :keep + 1)
    UNION ALL
    SELECT * FROM (SELECT id FROM runs INDEXED BY runs_by_function
                   WHERE function_id = :function AND +status BETWEEN 1 AND 3 AND status = 2 ORDER BY id DESC LIMIT :keep + 1)
    UNION ALL
    SELECT * FROM (SELECT id FROM runs INDEXED BY runs_by_function
                   WHERE function_id = :function AND +status BETWEEN 1 AND 3 AND status = 3 ORDER BY id DESC LIMIT :keep + 1)
    UNION ALL
    SELECT * FROM (SELECT id FROM runs WHERE function_id = :function AND status = 7 ORDER BY id DESC LIMIT :keep + 1)
) ORDER BY id DESC LIMIT 1 OFFSET :keep

-- name: ended
-- A function's runs of one status, in the order of their ids, that ended before a time: such an id is no later than that.
SELECT id, event_ids FROM runs
WHERE function_id = :function AND +status BETWEEN 1 AND 3 AND status = :status AND id > :after AND id < :end AND ended_at < :before
ORDER BY id LIMIT :most

-- name: ended_of_many
-- The same of all functions but some: neighbours go together, so that few pages are written.
SELECT id, event_ids FROM runs INDEXED BY runs_by_status
WHERE +status BETWEEN 1 AND 3 AND status = :status AND id > :after AND id < :end AND ended_at < :before
  AND function_id NOT IN (SELECT value FROM json_each(:excepted))
ORDER BY id LIMIT :most

-- name: skipped
SELECT id, event_ids FROM runs INDEXED BY runs_skipped
WHERE status = 7 AND :status = 7 AND id > :after AND id < :end AND ended_at < :before
  AND (:function = '' OR function_id = :function) AND function_id NOT IN (SELECT value FROM json_each(:excepted))
ORDER BY id LIMIT :most

-- name: held
-- Which of some events a debounce or a batch holds back.
SELECT value FROM json_each(:events)
WHERE value IN (SELECT event_id FROM batch_events UNION ALL SELECT json_extract(record, '$[1]') FROM flow WHERE kind = 'debounce')

-- name: weights
-- Reads what is to be deleted, overflow pages too (the casts do), so that the loop finds it in the system's cache; tells the
-- bytes of each run.
SELECT run_id, sum(size) FROM (
    SELECT id AS run_id, ifnull(length(CAST(output AS BLOB)), 0) AS size FROM runs WHERE id IN (SELECT value FROM json_each(:runs))
    UNION ALL
    SELECT run_id, length(CAST(output AS BLOB)) + length(CAST(span AS BLOB)) FROM steps
    WHERE run_id IN (SELECT value FROM json_each(:runs))
    UNION ALL
    SELECT run_id, ifnull(length(CAST(output AS BLOB)), 0) + length(CAST(span AS BLOB)) FROM spans
    WHERE run_id IN (SELECT value FROM json_each(:runs))
    UNION ALL
    SELECT run_id, length(CAST(span AS BLOB)) FROM user_spans WHERE run_id IN (SELECT value FROM json_each(:runs))
    UNION ALL
    SELECT run_id, length(CAST("values" AS BLOB)) FROM metadata WHERE run_id IN (SELECT value FROM json_each(:runs))
) GROUP BY run_id

-- name: rows_of
SELECT 'retention.drop_step', seq, length(output) FROM steps WHERE run_id = :run
UNION ALL
SELECT 'retention.drop_span', seq, ifnull(length(output), 0) FROM spans WHERE run_id = :run

-- name: event_weight
SELECT total(length(CAST(json AS BLOB))) FROM events WHERE id IN (SELECT value FROM json_each(:events))

-- name: arrivals
-- Events in the order of their ids, and whether they started a run.
SELECT e.id, e.n, e.received_at, EXISTS (SELECT 1 FROM event_runs er WHERE er.event_id = e.id) FROM events e
WHERE (e.id, e.n) > (:id, :n) AND e.id < :end ORDER BY e.id, e.n LIMIT :most

-- name: empty_run_totals
SELECT bucket, function_id, status FROM run_totals WHERE n <= 0

-- name: empty_event_totals
SELECT bucket, name FROM event_totals WHERE n <= 0

-- name: expired_keys
SELECT key FROM idempotency WHERE expires < :now LIMIT :most

-- name: idle_functions
-- Functions that are archived and of which no run is left.
SELECT f.id FROM functions f
WHERE f.archived_at < :before AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.function_id = f.id)

-- name: idle_apps
-- Apps that are archived and of which no function is left.
SELECT a.id, :before FROM apps a
WHERE a.archived_at < :before AND NOT EXISTS (SELECT 1 FROM functions f WHERE f.app_id = a.id)

-- name: old_audit
SELECT id FROM audit WHERE at < :before ORDER BY id LIMIT :most

-- name: drop_run
DELETE FROM runs WHERE id = ? AND ended_at IS NOT NULL

-- name: drop_steps
DELETE FROM steps WHERE run_id = ?

-- name: drop_spans
DELETE FROM spans WHERE run_id = ?

-- name: drop_step
DELETE FROM steps WHERE run_id = ? AND seq = ?

-- name: drop_span
DELETE FROM spans WHERE run_id = ? AND seq = ?

-- name: drop_metadata
DELETE FROM metadata WHERE run_id = ?

-- name: drop_user_spans
DELETE FROM user_spans WHERE run_id = ?

-- name: drop_link
DELETE FROM event_runs WHERE event_id = ? AND run_id = ?

-- name: drop_event
-- Unless it started a run meanwhile: one that ran again is kept by that.
DELETE FROM events WHERE id = ? AND NOT EXISTS (SELECT 1 FROM event_runs WHERE event_id = events.id)

-- name: drop_copy
DELETE FROM events WHERE id = ? AND n = ? AND NOT EXISTS (SELECT 1 FROM event_runs WHERE event_id = events.id)

-- name: drop_key
DELETE FROM idempotency WHERE key = ? AND expires < ?

-- name: drop_function
DELETE FROM functions
WHERE id = ? AND archived_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE function_id = functions.id)

-- name: drop_app
-- Unless it came back meanwhile.
DELETE FROM apps
WHERE id = ? AND archived_at < ? AND NOT EXISTS (SELECT 1 FROM functions WHERE app_id = apps.id)

-- name: drop_crons
DELETE FROM crons WHERE function_id = ? AND NOT EXISTS (SELECT 1 FROM functions WHERE id = crons.function_id)

-- name: drop_audit
DELETE FROM audit WHERE id = ?

-- name: drop_run_total
DELETE FROM run_totals WHERE bucket = ? AND function_id = ? AND status = ? AND n <= 0

-- name: drop_event_total
DELETE FROM event_totals WHERE bucket = ? AND name = ? AND n <= 0
