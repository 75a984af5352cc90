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
