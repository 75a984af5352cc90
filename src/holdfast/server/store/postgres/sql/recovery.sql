-- What a start reads of runs that have not ended. The ids of live runs come as an array.

-- name: runs
-- Runs without any job or pause as well: no engine leaves one, but a defect might.
SELECT r.id, r.function_id, r.app_id, r.status, r.scheduled_at, r.started_at, r.event_name, r.cron, r.batch_id, r.original_run_id,
       r.detail, r.state
FROM {schema}.runs r
WHERE r.partition = $1 AND (r.status IN (0, 5)
    OR r.id IN (SELECT run_id FROM {schema}.jobs WHERE partition = $1 UNION SELECT run_id FROM {schema}.pauses WHERE partition = $1))

-- name: step_totals
SELECT run_id, count(*), sum(octet_length(output))::bigint, max(seq) FROM {schema}.steps WHERE run_id = ANY($1) GROUP BY run_id

-- name: span_totals
SELECT run_id, max(seq) FROM {schema}.spans WHERE run_id = ANY($1) GROUP BY run_id

-- name: event_sizes
SELECT r.id, sum(octet_length(e.json))::bigint FROM {schema}.runs r
CROSS JOIN LATERAL jsonb_array_elements_text(r.event_ids::jsonb) x
CROSS JOIN LATERAL (SELECT v.json FROM {schema}.events v WHERE v.id = x ORDER BY v.n LIMIT 1) e
WHERE r.id = ANY($1) GROUP BY r.id

-- name: jobs
SELECT job FROM {schema}.jobs WHERE partition = $1

-- name: pauses
SELECT pause FROM {schema}.pauses WHERE partition = $1

-- name: step_ids
SELECT run_id, step_id FROM {schema}.steps WHERE run_id = ANY($1)

-- name: keys
SELECT key, expires FROM {schema}.idempotency WHERE partition = $1 ORDER BY expires

-- name: crons
SELECT function_id, cron, tick FROM {schema}.crons WHERE partition = $1

-- name: flow
SELECT kind, key, record FROM {schema}.flow WHERE partition = $1

-- name: batches
SELECT batch_id, event_id FROM {schema}.batch_events WHERE partition = $1 ORDER BY batch_id, place

-- name: events
SELECT DISTINCT ON (id) id, name, external_id, ts, received_at, json FROM {schema}.events WHERE id = ANY($1) ORDER BY id, n

-- name: body
-- A run's events (0) and its memoised steps (1), both in their order.
SELECT 0 AS kind, x.place AS place, '' AS step, e.json AS json FROM {schema}.runs r
CROSS JOIN LATERAL jsonb_array_elements_text(r.event_ids::jsonb) WITH ORDINALITY AS x (id, place)
CROSS JOIN LATERAL (SELECT v.json FROM {schema}.events v WHERE v.id = x.id ORDER BY v.n LIMIT 1) e
WHERE r.id = $1
UNION ALL
SELECT 1, seq, step_id, output FROM {schema}.steps WHERE run_id = $1
ORDER BY 1, 2

-- name: ended
SELECT function_id, event_ids, cron FROM {schema}.runs WHERE id = $1

-- name: steps
SELECT step_id, output FROM {schema}.steps WHERE run_id = $1 ORDER BY seq
