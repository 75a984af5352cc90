-- Connections of workers are bounded in number, and read whole at a start.

-- name: connections
SELECT record FROM worker_connections ORDER BY id

-- name: put_connection
INSERT OR REPLACE INTO worker_connections (id, record) VALUES (?,?)

-- name: drop_connection
DELETE FROM worker_connections WHERE id = ?

-- name: groups
SELECT app_id, hash, since, sync_id FROM worker_groups ORDER BY app_id, since

-- name: put_group
INSERT OR REPLACE INTO worker_groups (app_id, hash, since, sync_id) VALUES (?,?,?,?)

-- name: drop_group
DELETE FROM worker_groups WHERE app_id = ? AND hash = ?
