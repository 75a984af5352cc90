-- What `holdfast db stats` tells.

-- name: sizes
SELECT s.tbl_name, total(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name
WHERE d.aggregate = TRUE GROUP BY s.tbl_name

-- name: tables
SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name

-- name: statuses
SELECT status, count(*) FROM runs GROUP BY status ORDER BY status

-- name: functions
SELECT coalesce(f.slug, r.function_id), count(*), sum(r.ended_at IS NULL), min(r.scheduled_at), max(r.scheduled_at)
FROM runs r LEFT JOIN functions f ON f.id = r.function_id GROUP BY r.function_id ORDER BY 2 DESC

-- name: spans
SELECT (SELECT min(received_at) FROM events), (SELECT max(received_at) FROM events),
       (SELECT min(scheduled_at) FROM runs), (SELECT max(scheduled_at) FROM runs)
