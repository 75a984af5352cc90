-- The named queries of History. A section is one query; `{…}` is filled with columns or with a condition built there.
-- Tables are those of the store's schema. Live tables are led by their partition: those of all of them are looked up.

-- name: run_columns
r.id, r.function_id, r.app_id, r.status, r.scheduled_at, r.started_at, r.ended_at, r.event_ids, r.event_name, r.cron, r.batch_id,
r.original_run_id, r.detail, r.state

-- name: runs_by_id
SELECT {run_columns} FROM {schema}.runs r WHERE r.id = ANY(?)

-- name: outputs
SELECT r.id, r.output FROM {schema}.runs r WHERE r.id = ANY(?) AND r.output IS NOT NULL

-- name: functions_in_apps
SELECT f.id FROM {schema}.functions f WHERE f.app_id = ANY(?) ORDER BY f.id

-- name: matching_runs
-- Which of some runs a search lets through.
SELECT r.id FROM {schema}.runs r WHERE r.id = ANY(?) AND {condition}

-- name: run_total
SELECT coalesce(sum(t.n), 0)::bigint FROM {schema}.run_totals t WHERE {condition}

-- name: run_buckets
-- Ended runs by the time in their ids, where another time of them can lie within a window; between which values that one is.
SELECT t.bucket, sum(t.n)::bigint, min(t.first_{time}), max(t.last_{time}) FROM {schema}.run_totals t WHERE {condition}
GROUP BY t.bucket HAVING max(t.last_{time}) >= ? AND min(t.first_{time}) <= ?

-- name: run_count
SELECT count(*) FROM {schema}.runs r{index} WHERE {condition}

-- name: deferred_count
SELECT count(*) FROM {schema}.deferred_runs d JOIN {schema}.runs r ON r.id = d.run_id WHERE {condition}

-- name: runs_of_events
SELECT er.event_id, {run_columns} FROM {schema}.event_runs er JOIN {schema}.runs r ON r.id = er.run_id
WHERE er.event_id = ANY(?) ORDER BY r.id

-- name: deferred_runs
SELECT d.parent_id, {run_columns} FROM {schema}.deferred_runs d JOIN {schema}.runs r ON r.id = d.run_id
WHERE d.parent_id = ANY(?) ORDER BY r.id

-- name: debug_runs
SELECT {run_columns} FROM {schema}.debug_runs d JOIN {schema}.runs r ON r.id = d.run_id
WHERE d.function_id = :function
  AND (:debug_run = '' OR {schema}.json_of(r.detail) ->> 'debug_run_id' = :debug_run)
  AND (:debug_session = '' OR {schema}.json_of(r.detail) ->> 'debug_session_id' = :debug_session)
  AND (:debug_run <> '' OR :debug_session <> '')
ORDER BY r.id DESC

-- name: trace_rows
SELECT run_id, seq, 1, output, span FROM {schema}.steps WHERE run_id = ANY(:ids)
UNION ALL
SELECT run_id, seq, 0, output, span FROM {schema}.spans WHERE run_id = ANY(:ids)
ORDER BY 1, 2

-- name: trace_row
SELECT run_id, seq, 1, output, span FROM {schema}.steps WHERE run_id = :run AND seq = :seq
UNION ALL
SELECT run_id, seq, 0, output, span FROM {schema}.spans WHERE run_id = :run AND seq = :seq
LIMIT 1

-- name: saved_steps
SELECT run_id, seq, 1, output, span FROM {schema}.steps WHERE run_id = :run AND (:step = '' OR step_id = :step) ORDER BY seq

-- name: jobs
SELECT j.run_id, j.job FROM {schema}.partitions p JOIN {schema}.jobs j ON j.partition = p.id AND j.run_id = ANY(?)
ORDER BY j.run_id, j.no

-- name: pauses
SELECT j.run_id, j.pause FROM {schema}.partitions p JOIN {schema}.pauses j ON j.partition = p.id AND j.run_id = ANY(?)
ORDER BY j.run_id, j.no

-- name: event_columns
e.id, e.name, e.external_id, e.ts, e.received_at, e.json

-- name: first_copy
-- An id that was stored more than once is listed once: as first received.
e.n = (SELECT min(c.n) FROM {schema}.events c WHERE c.id = e.id)

-- name: events_by_id
SELECT {event_columns} FROM {schema}.events e WHERE e.id = ANY(?) AND {first_copy}

-- name: event_ids
SELECT e.id FROM {schema}.events e WHERE {condition} AND {first_copy} ORDER BY e.id DESC LIMIT ?

-- name: event_ids_of_name
SELECT e.id FROM {schema}.events e WHERE {condition} AND {first_copy} ORDER BY e.id DESC LIMIT ?

-- name: matching_events
SELECT e.id FROM {schema}.events e WHERE e.id = ANY(?) AND {condition} AND {first_copy}

-- name: event_span
-- Of some buckets: the range of the wanted events' ids, how many they are, how many there are at all, how many names.
SELECT min(t.low), max(t.high), coalesce(sum(t.n), 0)::bigint,
  (SELECT coalesce(sum(a.n), 0)::bigint FROM {schema}.event_totals a WHERE a.bucket BETWEEN ? AND ?), count(DISTINCT t.name)
FROM {schema}.event_totals t WHERE {condition} AND t.bucket BETWEEN ? AND ?

-- name: event_names
SELECT DISTINCT t.name FROM {schema}.event_totals t WHERE t.bucket BETWEEN ? AND ? AND {condition}

-- name: event_total
SELECT coalesce(sum(t.n), 0)::bigint FROM {schema}.event_totals t WHERE t.bucket BETWEEN ? AND ? AND {condition}

-- name: event_count
SELECT count(*) FROM {schema}.events e WHERE {condition} AND {first_copy}

-- name: stream
SELECT {event_columns} FROM {schema}.events e
WHERE (:after = '' OR e.id > :after) AND (:before = '' OR e.id < :before)
  AND (EXISTS (SELECT 1 FROM {schema}.event_runs er WHERE er.event_id = e.id) OR (left(e.name, 8) = 'inngest/') = :internal)
  AND {first_copy}
ORDER BY e.id DESC LIMIT :limit

-- name: app_columns
a.id, a.name, a.url, a.method, a.sdk_language, a.sdk_version, a.framework, a.app_version, a.checksum, a.error, a.created_at,
a.archived_at, a.discovered

-- name: apps
SELECT {app_columns} FROM {schema}.apps a WHERE a.archived_at IS NULL ORDER BY a.id

-- name: archived_apps
SELECT {app_columns} FROM {schema}.apps a WHERE a.archived_at IS NOT NULL ORDER BY a.id

-- name: apps_by_id
SELECT {app_columns} FROM {schema}.apps a WHERE a.id = ANY(?)

-- name: function_columns
f.id, f.app_id, f.slug, f.name, f.version, f.config, f.created_at, f.archived_at

-- name: functions
SELECT {function_columns} FROM {schema}.functions f JOIN {schema}.apps a ON a.id = f.app_id
WHERE f.archived_at IS NULL AND a.archived_at IS NULL ORDER BY f.slug

-- name: functions_by_id
SELECT {function_columns} FROM {schema}.functions f WHERE f.id = ANY(?)

-- name: functions_by_slug
SELECT {function_columns} FROM {schema}.functions f WHERE f.archived_at IS NULL AND f.slug = ANY(?)

-- name: functions_of_apps
SELECT {function_columns} FROM {schema}.functions f WHERE f.archived_at IS NULL AND f.app_id = ANY(?) ORDER BY f.slug
