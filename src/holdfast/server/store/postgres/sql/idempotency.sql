-- What idempotency keys started.

-- name: run
SELECT i.run_id FROM {schema}.partitions p JOIN {schema}.idempotency i ON i.partition = p.id AND i.key = ? WHERE i.run_id <> ''
