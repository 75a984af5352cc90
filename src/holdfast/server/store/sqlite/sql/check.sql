-- Invariants. Each section finds what breaks one, as (what, where): a few rows are enough to tell.

-- name: a live run has an open job or pause
SELECT 'run ' || r.id, 'status ' || r.status FROM runs r
WHERE r.ended_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.run_id = r.id) AND NOT EXISTS (SELECT 1 FROM pauses p WHERE p.run_id = r.id)

-- name: jobs and pauses belong to a live run
SELECT 'run ' || o.run_id, o.kind || ' ' || o.no FROM (
    SELECT run_id, no, 'job' AS kind FROM jobs UNION ALL SELECT run_id, no, 'pause' FROM pauses
) o LEFT JOIN runs r ON r.id = o.run_id
WHERE r.id IS NULL OR r.ended_at IS NOT NULL

-- name: a run that ended says so
SELECT 'run ' || id, 'status ' || status FROM runs WHERE (status IN (1, 2, 3, 7)) <> (ended_at IS NOT NULL)

-- name: a run has its events
SELECT 'run ' || r.id, 'event ' || e.value FROM runs r, json_each(r.event_ids) e
WHERE NOT EXISTS (SELECT 1 FROM events x WHERE x.id = e.value)

-- name: events and runs are linked both ways
SELECT 'event ' || er.event_id, 'run ' || er.run_id FROM event_runs er
WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = er.run_id) OR NOT EXISTS (SELECT 1 FROM events e WHERE e.id = er.event_id)
UNION ALL
SELECT 'run ' || r.id, 'event ' || e.value FROM runs r, json_each(r.event_ids) e
WHERE NOT EXISTS (SELECT 1 FROM event_runs er WHERE er.event_id = e.value AND er.run_id = r.id)

-- name: steps and spans belong to a run
SELECT 'run ' || o.run_id, o.kind || ' ' || o.seq FROM (
    SELECT run_id, seq, 'step' AS kind FROM steps UNION ALL SELECT run_id, seq, 'span' FROM spans
) o WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = o.run_id)

-- name: a number in a run's history is used once
SELECT 'run ' || s.run_id, 'number ' || s.seq FROM steps s JOIN spans p ON p.run_id = s.run_id AND p.seq = s.seq

-- name: a step is memoised once
SELECT 'run ' || run_id, 'step ' || step_id FROM steps GROUP BY run_id, step_id HAVING count(*) > 1

-- name: metadata belongs to a run
SELECT 'run ' || m.run_id, 'metadata ' || m.id FROM metadata m WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = m.run_id)

-- name: sessions have runs
SELECT 'session ' || x.key || ' ' || x.id, 'run ' || x.run_id FROM session_runs x
WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = x.run_id)
   OR NOT EXISTS (SELECT 1 FROM event_sessions s WHERE s.key = x.key AND s.id = x.id AND x.run_id BETWEEN s.first_run AND s.last_run)
UNION ALL
SELECT 'session ' || s.key || ' ' || s.id, 'has none' FROM event_sessions s
WHERE NOT EXISTS (SELECT 1 FROM session_runs x WHERE x.key = s.key AND x.id = s.id)

-- name: experiments and scores belong to a run
SELECT 'run ' || e.run_id, 'experiment ' || e.name FROM experiment_runs e
WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = e.run_id AND r.function_id = e.function_id)
UNION ALL
SELECT 'run ' || s.run_id, 'score ' || s.name FROM scores s WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id)

-- name: totals of events are their counts
SELECT 'events ' || name, 'bucket ' || bucket FROM (
    SELECT received_at >> 24 AS bucket, name, 1 AS n FROM events e WHERE n = (SELECT min(n) FROM events WHERE id = e.id)
    UNION ALL SELECT bucket, name, -n FROM event_totals
) GROUP BY bucket, name HAVING sum(n) <> 0

-- name: totals of runs are their counts
SELECT 'runs of function ' || function_id, 'bucket ' || bucket || ', status ' || status FROM (
    SELECT substr(id, 1, 5) AS bucket, function_id, status, 1 AS n FROM runs
    WHERE status BETWEEN 1 AND 3 AND id NOT IN (SELECT run_id FROM debug_runs)
    UNION ALL SELECT bucket, function_id, status, -n FROM run_totals
) GROUP BY bucket, function_id, status HAVING sum(n) <> 0

-- name: deferred runs and debug runs are listed
SELECT 'run ' || id, 'deferred from ' || ifnull(parent, '?') FROM (
    SELECT id, json_extract(detail, '$.deferred_from') AS parent FROM runs WHERE instr(detail, '"deferred_from"')
    EXCEPT SELECT run_id, parent_id FROM deferred_runs
)
UNION ALL
SELECT 'run ' || id, 'debug' FROM runs WHERE instr(detail, '"debug_run_id"')
    AND json_extract(detail, '$.debug_run_id') IS NOT NULL AND id NOT IN (SELECT run_id FROM debug_runs)

-- name: a batch has its record and its events
SELECT 'batch ' || b.batch_id, 'event ' || b.event_id FROM batch_events b
WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = b.event_id)
   OR NOT EXISTS (SELECT 1 FROM flow f WHERE f.kind = 'batch' AND json_extract(f.record, '$[1]') = b.batch_id)

-- name: a debounce has its event
SELECT 'debounce ' || f.key, 'event ' || json_extract(f.record, '$[1]') FROM flow f
WHERE f.kind = 'debounce' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.id = json_extract(f.record, '$[1]'))

-- name: runs and functions have their owners
SELECT 'run ' || r.id, 'function ' || r.function_id FROM runs r
WHERE NOT EXISTS (SELECT 1 FROM functions f WHERE f.id = r.function_id)
UNION ALL
SELECT 'function ' || f.slug, 'app ' || f.app_id FROM functions f WHERE NOT EXISTS (SELECT 1 FROM apps a WHERE a.id = f.app_id)
