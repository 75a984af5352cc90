-- Webhooks are few, and read whole at a start.

-- name: all
SELECT id, key, name, transform, response, event_filter, created_at, updated_at FROM webhooks ORDER BY id

-- name: put
INSERT OR REPLACE INTO webhooks (id, key, name, transform, response, event_filter, created_at, updated_at)
VALUES (?,?,?,?,?,?,?,?)

-- name: drop
DELETE FROM webhooks WHERE id = ?
