-- Times of runs and steps, for percentiles. What is read is bounded by the caller: a sample, not all there is.

-- name: times
-- The first runs of a window of ids.
SELECT r.scheduled_at, r.started_at, r.ended_at FROM {schema}.runs r
WHERE r.id BETWEEN ? AND ? AND r.started_at IS NOT NULL ORDER BY r.id LIMIT ?

-- name: times_of_function
-- As above, of a function's ended runs; those of one status follow another's.
SELECT r.scheduled_at, r.started_at, r.ended_at FROM {schema}.runs r
WHERE r.function_id = ? AND r.status = ? AND r.status BETWEEN 1 AND 3 AND r.id BETWEEN ? AND ?
AND r.started_at IS NOT NULL ORDER BY r.id LIMIT ?

-- name: steps
SELECT span FROM {schema}.steps WHERE run_id = ANY(?) LIMIT ?

-- name: failures
-- Attempts that failed, and were made again or were the last one.
SELECT span FROM {schema}.spans WHERE run_id = ANY(?) AND {schema}.json_of(span) ->> 'k' = 'attempt' LIMIT ?
