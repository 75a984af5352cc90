-- Metadata and spans of user code. Lists of ids come as one JSON array.

-- name: run
SELECT 1 FROM runs WHERE id = ?

-- name: add_metadata
INSERT OR REPLACE INTO metadata (run_id, id, scope, step_id, attempt, span_id, kind, op, "values")
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: metadata_size
SELECT coalesce(sum(length(CAST("values" AS BLOB))), 0) FROM metadata WHERE run_id = ?

-- name: metadata
SELECT run_id, id, scope, step_id, attempt, span_id, kind, op, "values" FROM metadata
WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id, id

-- name: add_event_trace
INSERT OR REPLACE INTO event_traces (event_id, trace) VALUES (?, ?)

-- name: event_traces
SELECT event_id, trace FROM event_traces WHERE event_id IN (SELECT value FROM json_each(?))

-- name: add_user_span
-- Of a span that comes more than once the longest is kept.
INSERT INTO user_spans (run_id, trace_id, span_id, start, duration, size, span) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, trace_id, span_id) DO UPDATE
SET start = excluded.start, duration = excluded.duration, size = excluded.size, span = excluded.span
WHERE excluded.duration > duration

-- name: user_spans
SELECT run_id, span FROM user_spans WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id, start, span_id

-- name: user_spans_kept
SELECT r.id, r.function_id, count(s.span_id), coalesce(sum(s.size), 0) FROM runs r LEFT JOIN user_spans s ON s.run_id = r.id
WHERE r.id IN (SELECT value FROM json_each(?)) GROUP BY r.id
