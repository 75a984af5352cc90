-- Totals, added to by the commit that writes the rows (counting.py).

-- name: add_events
INSERT INTO event_totals (bucket, name, n, low, high) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n, low = min(low, excluded.low), high = max(high, excluded.high)

-- name: stored_events
SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM events WHERE id = value)

-- name: add_runs
INSERT INTO run_totals (bucket, function_id, status, n, first_started_at, last_started_at, first_ended_at, last_ended_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n,
    first_started_at = min(ifnull(first_started_at, excluded.first_started_at), ifnull(excluded.first_started_at, first_started_at)),
    last_started_at = max(ifnull(last_started_at, excluded.last_started_at), ifnull(excluded.last_started_at, last_started_at)),
    first_ended_at = min(ifnull(first_ended_at, excluded.first_ended_at), ifnull(excluded.first_ended_at, first_ended_at)),
    last_ended_at = max(ifnull(last_ended_at, excluded.last_ended_at), ifnull(excluded.last_ended_at, last_ended_at))

-- name: add_deferred
INSERT OR REPLACE INTO deferred_runs (run_id, parent_id) VALUES (?, ?)

-- name: add_debug
INSERT OR REPLACE INTO debug_runs (run_id, function_id) VALUES (?, ?)
