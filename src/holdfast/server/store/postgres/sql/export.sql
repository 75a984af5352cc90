-- Pages of an export, by id: each a short look.

-- name: runs
SELECT r.id, coalesce(f.slug, ''), r.function_id, coalesce(a.name, ''), r.status, r.scheduled_at, r.started_at, r.ended_at, r.event_name,
       r.event_ids, r.cron, r.batch_id, r.original_run_id, r.output
FROM {schema}.runs r LEFT JOIN {schema}.functions f ON f.id = r.function_id LEFT JOIN {schema}.apps a ON a.id = r.app_id
WHERE r.id > :after AND r.scheduled_at >= :since AND r.scheduled_at < :until
  AND (cardinality(:functions::text[]) = 0 OR f.slug = ANY(:functions))
  AND (cardinality(:statuses::int[]) = 0 OR r.status = ANY(:statuses))
ORDER BY r.id LIMIT :most

-- name: steps
SELECT step_id, output, span FROM {schema}.steps WHERE run_id = ? ORDER BY seq

-- name: events
SELECT e.id, e.n, e.name, e.received_at, e.json FROM {schema}.events e
WHERE (e.id, e.n) > (:after, :n) AND e.received_at >= :since AND e.received_at < :until
  AND (cardinality(:names::text[]) = 0 OR e.name = ANY(:names))
  AND (:internal OR left(e.name, 8) <> 'inngest/')
  AND (cardinality(:functions::text[]) = 0 OR EXISTS (
      SELECT 1 FROM {schema}.event_runs er JOIN {schema}.runs r ON r.id = er.run_id JOIN {schema}.functions f ON f.id = r.function_id
      WHERE er.event_id = e.id AND f.slug = ANY(:functions)))
ORDER BY e.id, e.n LIMIT :most
