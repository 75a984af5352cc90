-- Connections of workers are bounded in number, and read whole at a start.

-- name: connections
SELECT record FROM {schema}.worker_connections ORDER BY id

-- name: put_connection
INSERT INTO {schema}.worker_connections (id, record) SELECT x->>0, x->>1 FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET record = excluded.record

-- name: drop_connection
DELETE FROM {schema}.worker_connections WHERE id IN (SELECT x->>0 FROM jsonb_array_elements({rows}) x)

-- name: groups
SELECT app_id, hash, since, sync_id FROM {schema}.worker_groups ORDER BY app_id, since

-- name: put_group
INSERT INTO {schema}.worker_groups (app_id, hash, since, sync_id)
SELECT x->>0, x->>1, (x->>2)::bigint, x->>3 FROM jsonb_array_elements({rows}) x
ON CONFLICT (app_id, hash) DO UPDATE SET since = excluded.since, sync_id = excluded.sync_id

-- name: drop_group
DELETE FROM {schema}.worker_groups g USING jsonb_array_elements({rows}) x WHERE g.app_id = x->>0 AND g.hash = x->>1
