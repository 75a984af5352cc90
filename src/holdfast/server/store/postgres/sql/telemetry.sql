-- Metadata and spans of user code.

-- name: add_metadata
INSERT INTO {schema}.metadata (run_id, id, scope, step_id, attempt, span_id, kind, op, "values")
SELECT x->>0, x->>1, x->>2, x->>3, (x->>4)::int, x->>5, x->>6, x->>7, x->>8 FROM jsonb_array_elements({rows}) x
ON CONFLICT (run_id, id) DO UPDATE SET (scope, step_id, attempt, span_id, kind, op, "values")
    = (excluded.scope, excluded.step_id, excluded.attempt, excluded.span_id, excluded.kind, excluded.op, excluded."values")

-- name: metadata_size
SELECT coalesce(sum(octet_length("values")), 0)::bigint FROM {schema}.metadata WHERE run_id = ?

-- name: metadata
SELECT run_id, id, scope, step_id, attempt, span_id, kind, op, "values" FROM {schema}.metadata
WHERE run_id = ANY(?) ORDER BY run_id, id

-- name: add_event_trace
INSERT INTO {schema}.event_traces (event_id, trace)
SELECT DISTINCT ON (x->>0) x->>0, x->>1 FROM jsonb_array_elements({rows}) x
ON CONFLICT (event_id) DO UPDATE SET trace = excluded.trace

-- name: event_traces
SELECT event_id, trace FROM {schema}.event_traces WHERE event_id = ANY(?)

-- name: add_user_span
-- Of a span that comes more than once the longest is kept.
INSERT INTO {schema}.user_spans AS s (run_id, trace_id, span_id, start, duration, size, span)
SELECT DISTINCT ON (x->>0, x->>1, x->>2) x->>0, x->>1, x->>2, (x->>3)::bigint, (x->>4)::bigint, (x->>5)::int, x->>6
FROM jsonb_array_elements({rows}) x ORDER BY x->>0, x->>1, x->>2, (x->>4)::bigint DESC
ON CONFLICT (run_id, trace_id, span_id) DO UPDATE
SET (start, duration, size, span) = (excluded.start, excluded.duration, excluded.size, excluded.span)
WHERE excluded.duration > s.duration

-- name: user_spans
SELECT run_id, span FROM {schema}.user_spans WHERE run_id = ANY(?) ORDER BY run_id, start, span_id

-- name: user_spans_kept
SELECT r.id, r.function_id, count(s.span_id), coalesce(sum(s.size), 0)::bigint
FROM {schema}.runs r LEFT JOIN {schema}.user_spans s ON s.run_id = r.id
WHERE r.id = ANY(?) GROUP BY r.id, r.function_id
