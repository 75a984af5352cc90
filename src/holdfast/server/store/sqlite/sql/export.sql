-- Pages of an export, by id: each a short look, so that checkpoints are not held up by a long one.

-- name: runs
SELECT r.id, coalesce(f.slug, ''), r.function_id, coalesce(a.name, ''), r.status, r.scheduled_at, r.started_at, r.ended_at, r.event_name,
       r.event_ids, r.cron, r.batch_id, r.original_run_id, r.output
FROM runs r LEFT JOIN functions f ON f.id = r.function_id LEFT JOIN apps a ON a.id = r.app_id
WHERE r.id > :after AND r.scheduled_at >= :since AND r.scheduled_at < :until
  AND (:functions = '[]' OR f.slug IN (SELECT value FROM json_each(:functions)))
  AND (:statuses = '[]' OR r.status IN (SELECT value FROM json_each(:statuses)))
ORDER BY r.id LIMIT :most

-- name: steps
SELECT step_id, output, span FROM steps WHERE run_id = ? ORDER BY seq

-- name: events
SELECT e.id, e.n, e.name, e.received_at, e.json FROM events e
WHERE (e.id, e.n) > (:after, :n) AND e.received_at >= :since AND e.received_at < :until
  AND (:names = '[]' OR e.name IN (SELECT value FROM json_each(:names)))
  AND (:internal OR substr(e.name, 1, 8) <> 'inngest/')
  AND (:functions = '[]' OR EXISTS (
      SELECT 1 FROM event_runs er JOIN runs r ON r.id = er.run_id JOIN functions f ON f.id = r.function_id
      WHERE er.event_id = e.id AND f.slug IN (SELECT value FROM json_each(:functions))))
ORDER BY e.id, e.n LIMIT :most
