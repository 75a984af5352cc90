-- Retention: what readers look for, and what the writer deletes. What is deleted comes as one JSON array of arrays, `{rows}`.

-- name: functions
-- All of them, archived ones included.
SELECT id, slug FROM {schema}.functions

-- name: newest
-- The newest ended run of a function that is one too many.
SELECT id FROM (
    (SELECT id FROM {schema}.runs WHERE function_id = :function AND status BETWEEN 1 AND 3 AND status = 1 ORDER BY id DESC LIMIT :keep::bigint + 1)
    UNION ALL
    (SELECT id FROM {schema}.runs WHERE function_id = :function AND status BETWEEN 1 AND 3 AND status = 2 ORDER BY id DESC LIMIT :keep::bigint + 1)
    UNION ALL
    (SELECT id FROM {schema}.runs WHERE function_id = :function AND status BETWEEN 1 AND 3 AND status = 3 ORDER BY id DESC LIMIT :keep::bigint + 1)
    UNION ALL
    (SELECT id FROM {schema}.runs WHERE function_id = :function AND status = 7 ORDER BY id DESC LIMIT :keep::bigint + 1)
) ended ORDER BY id DESC LIMIT 1 OFFSET :keep::bigint

-- name: ended
-- A function's runs of one status, in the order of their ids, that ended before a time: such an id is no later than that.
SELECT id, event_ids FROM {schema}.runs
WHERE function_id = :function AND status BETWEEN 1 AND 3 AND status = :status AND id > :after AND id < :end AND ended_at < :before
ORDER BY id LIMIT :most

-- name: ended_of_many
-- The same of all functions but some.
SELECT id, event_ids FROM {schema}.runs
WHERE status BETWEEN 1 AND 3 AND status = :status AND id > :after AND id < :end AND ended_at < :before
  AND function_id <> ALL(:excepted)
ORDER BY id LIMIT :most

-- name: skipped
SELECT id, event_ids FROM {schema}.runs
WHERE status = 7 AND id > :after AND id < :end AND ended_at < :before
  AND (:function = '' OR function_id = :function) AND function_id <> ALL(:excepted)
ORDER BY id LIMIT :most

-- name: held
-- Which of some events a debounce or a batch holds back.
SELECT event_id FROM {schema}.batch_events WHERE event_id = ANY(:events)
UNION
SELECT {schema}.json_of(record) ->> 1 FROM {schema}.flow WHERE kind = 'debounce' AND {schema}.json_of(record) ->> 1 = ANY(:events)

-- name: weights
-- The bytes of each run.
SELECT run_id, sum(size)::bigint FROM (
    SELECT id AS run_id, coalesce(octet_length(output), 0) AS size FROM {schema}.runs WHERE id = ANY(:runs)
    UNION ALL
    SELECT run_id, octet_length(output) + octet_length(span) FROM {schema}.steps WHERE run_id = ANY(:runs)
    UNION ALL
    SELECT run_id, coalesce(octet_length(output), 0) + octet_length(span) FROM {schema}.spans WHERE run_id = ANY(:runs)
    UNION ALL
    SELECT run_id, octet_length(span) FROM {schema}.user_spans WHERE run_id = ANY(:runs)
    UNION ALL
    SELECT run_id, octet_length("values") FROM {schema}.metadata WHERE run_id = ANY(:runs)
) weighed GROUP BY run_id

-- name: rows_of
SELECT 'retention.drop_step', seq, octet_length(output) FROM {schema}.steps WHERE run_id = :run
UNION ALL
SELECT 'retention.drop_span', seq, coalesce(octet_length(output), 0) FROM {schema}.spans WHERE run_id = :run

-- name: event_weight
SELECT coalesce(sum(octet_length(json)), 0)::bigint FROM {schema}.events WHERE id = ANY(:events)

-- name: arrivals
-- Events in the order of their ids, and whether they started a run.
SELECT e.id, e.n, e.received_at, EXISTS (SELECT 1 FROM {schema}.event_runs er WHERE er.event_id = e.id) FROM {schema}.events e
WHERE (e.id, e.n) > (:id, :n) AND e.id < :end ORDER BY e.id, e.n LIMIT :most

-- name: empty_run_totals
SELECT DISTINCT bucket, function_id, status FROM {schema}.run_totals WHERE n <= 0

-- name: empty_event_totals
SELECT DISTINCT bucket, name FROM {schema}.event_totals WHERE n <= 0

-- name: expired_keys
SELECT i.key FROM {schema}.partitions p JOIN {schema}.idempotency i ON i.partition = p.id WHERE i.expires < :now LIMIT :most

-- name: idle_functions
-- Functions that are archived and of which no run is left.
SELECT f.id FROM {schema}.functions f
WHERE f.archived_at < :before AND NOT EXISTS (SELECT 1 FROM {schema}.runs r WHERE r.function_id = f.id)

-- name: idle_apps
-- Apps that are archived and of which no function is left.
SELECT a.id, :before::bigint FROM {schema}.apps a
WHERE a.archived_at < :before AND NOT EXISTS (SELECT 1 FROM {schema}.functions f WHERE f.app_id = a.id)

-- name: old_audit
SELECT id FROM {schema}.audit WHERE at < :before ORDER BY id LIMIT :most

-- name: drop_run
DELETE FROM {schema}.runs r USING jsonb_array_elements({rows}) x WHERE r.id = x->>0 AND r.ended_at IS NOT NULL

-- name: drop_steps
DELETE FROM {schema}.steps s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0

-- name: drop_spans
DELETE FROM {schema}.spans s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0

-- name: drop_step
DELETE FROM {schema}.steps s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0 AND s.seq = (x->>1)::int

-- name: drop_span
DELETE FROM {schema}.spans s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0 AND s.seq = (x->>1)::int

-- name: drop_metadata
DELETE FROM {schema}.metadata m USING jsonb_array_elements({rows}) x WHERE m.run_id = x->>0

-- name: drop_user_spans
DELETE FROM {schema}.user_spans s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0

-- name: drop_link
DELETE FROM {schema}.event_runs e USING jsonb_array_elements({rows}) x WHERE e.event_id = x->>0 AND e.run_id = x->>1

-- name: drop_event
-- Unless it started a run meanwhile: one that ran again is kept by that.
DELETE FROM {schema}.events e USING jsonb_array_elements({rows}) x
WHERE e.id = x->>0 AND NOT EXISTS (SELECT 1 FROM {schema}.event_runs er WHERE er.event_id = e.id)

-- name: drop_copy
DELETE FROM {schema}.events e USING jsonb_array_elements({rows}) x
WHERE e.id = x->>0 AND e.n = (x->>1)::bigint AND NOT EXISTS (SELECT 1 FROM {schema}.event_runs er WHERE er.event_id = e.id)

-- name: drop_key
DELETE FROM {schema}.idempotency i USING jsonb_array_elements({rows}) x WHERE i.key = x->>0 AND i.expires < (x->>1)::bigint

-- name: drop_function
DELETE FROM {schema}.functions f USING jsonb_array_elements({rows}) x
WHERE f.id = x->>0 AND f.archived_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {schema}.runs r WHERE r.function_id = f.id)

-- name: drop_app
-- Unless it came back meanwhile.
DELETE FROM {schema}.apps a USING jsonb_array_elements({rows}) x
WHERE a.id = x->>0 AND a.archived_at < (x->>1)::bigint AND NOT EXISTS (SELECT 1 FROM {schema}.functions f WHERE f.app_id = a.id)

-- name: drop_crons
DELETE FROM {schema}.crons c USING jsonb_array_elements({rows}) x
WHERE c.function_id = x->>0 AND NOT EXISTS (SELECT 1 FROM {schema}.functions f WHERE f.id = c.function_id)

-- name: drop_audit
DELETE FROM {schema}.audit a USING jsonb_array_elements({rows}) x WHERE a.id = x->>0

-- name: drop_run_total
DELETE FROM {schema}.run_totals t USING jsonb_array_elements({rows}) x
WHERE t.bucket = x->>0 AND t.function_id = x->>1 AND t.status = (x->>2)::smallint AND t.n <= 0

-- name: drop_event_total
DELETE FROM {schema}.event_totals t USING jsonb_array_elements({rows}) x
WHERE t.bucket = (x->>0)::bigint AND t.name = x->>1 AND t.n <= 0
