-- Retention: what readers look for, what the loop deletes. Lists of ids come as one JSON array.

-- name: functions
-- All of them, archived ones included.
SELECT id, slug FROM functions

-- name: newest
-- The place of the newest run that is one too many.
SELECT ended_at, id FROM runs WHERE function_id = :function AND ended_at IS NOT NULL
ORDER BY ended_at DESC, id DESC LIMIT 1 OFFSET :keep

-- name: runs
-- Ended runs up to a place, the oldest first. What has no end is alive, and never here.
SELECT id, event_ids FROM runs
WHERE function_id = :function AND ended_at IS NOT NULL AND (ended_at, id) <= (:ended_at, :id)
ORDER BY ended_at, id LIMIT :most

-- name: held
-- Which of some events a debounce or a batch holds back.
SELECT value FROM json_each(:events)
WHERE value IN (SELECT event_id FROM batch_events UNION ALL SELECT json_extract(record, '$[1]') FROM flow WHERE kind = 'debounce')

-- name: weight
-- Reads what is to be deleted, so that the loop finds it in the system's cache; tells its bytes.
SELECT total(length(output) + length(span)) FROM (
    SELECT output, span FROM steps WHERE run_id IN (SELECT value FROM json_each(:runs))
    UNION ALL
    SELECT coalesce(output, ''), span FROM spans WHERE run_id IN (SELECT value FROM json_each(:runs))
)

-- name: event_weight
SELECT total(length(json)) FROM events WHERE id IN (SELECT value FROM json_each(:events))

-- name: idle_events
-- Events that started nothing, in the order of their arrival.
SELECT e.id, e.n, e.received_at FROM events e
WHERE (e.received_at, e.id, e.n) > (:received_at, :id, :n) AND e.received_at < :before
  AND NOT EXISTS (SELECT 1 FROM event_runs er WHERE er.event_id = e.id)
ORDER BY e.received_at, e.id, e.n LIMIT :most

-- name: expired_keys
SELECT key FROM idempotency WHERE expires < :now LIMIT :most

-- name: idle_functions
-- Functions that are archived and of which no run is left.
SELECT f.id FROM functions f
WHERE f.archived_at < :before AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.function_id = f.id)

-- name: old_audit
SELECT id FROM audit WHERE at < :before ORDER BY id LIMIT :most

-- name: drop_run
DELETE FROM runs WHERE id = ? AND ended_at IS NOT NULL

-- name: drop_steps
DELETE FROM steps WHERE run_id = ?

-- name: drop_spans
DELETE FROM spans WHERE run_id = ?

-- name: drop_metadata
DELETE FROM metadata WHERE run_id = ?

-- name: drop_link
DELETE FROM event_runs WHERE event_id = ? AND run_id = ?

-- name: drop_event
-- Unless it started a run meanwhile: one that ran again is kept by that.
DELETE FROM events WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event_runs WHERE event_id = ?1)

-- name: drop_copy
DELETE FROM events WHERE id = ?1 AND n = ?2 AND NOT EXISTS (SELECT 1 FROM event_runs WHERE event_id = ?1)

-- name: drop_key
DELETE FROM idempotency WHERE key = ? AND expires < ?

-- name: drop_function
DELETE FROM functions
WHERE id = ?1 AND archived_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE function_id = ?1)

-- name: drop_crons
DELETE FROM crons WHERE function_id = ?1 AND NOT EXISTS (SELECT 1 FROM functions WHERE id = ?1)

-- name: drop_audit
DELETE FROM audit WHERE id = ?
