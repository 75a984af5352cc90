-- What idempotency keys started.

-- name: run
SELECT run_id FROM idempotency WHERE key = ? AND run_id <> ''
