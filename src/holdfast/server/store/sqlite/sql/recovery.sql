-- What a start reads of runs that have not ended (store.py).

-- name: live
-- Runs without any job or pause as well: no engine leaves one, but a defect might.
SELECT run_id FROM jobs UNION SELECT run_id FROM pauses UNION SELECT id FROM runs WHERE status IN (0, 5)

-- name: runs
SELECT id, function_id, app_id, status, scheduled_at, started_at, event_name, cron, batch_id, original_run_id, detail, state
FROM runs WHERE id IN ({live})

-- name: step_totals
SELECT run_id, count(*), sum(length(CAST(output AS BLOB))), max(seq) FROM steps WHERE run_id IN ({live}) GROUP BY run_id

-- name: span_totals
SELECT run_id, max(seq) FROM spans WHERE run_id IN ({live}) GROUP BY run_id

-- name: event_sizes
SELECT r.id, sum(length(CAST(e.json AS BLOB))) FROM runs r CROSS JOIN json_each(r.event_ids) x
CROSS JOIN events e ON e.id = x.value AND e.n = (SELECT min(n) FROM events WHERE id = x.value)
WHERE r.id IN ({live}) GROUP BY r.id
