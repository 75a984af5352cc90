-- Webhooks are few, and read whole at a start.

-- name: all
SELECT id, key, name, transform, response, event_filter, created_at, updated_at FROM {schema}.webhooks ORDER BY id

-- name: put
INSERT INTO {schema}.webhooks (id, key, name, transform, response, event_filter, created_at, updated_at)
SELECT x->>0, x->>1, x->>2, x->>3, x->>4, x->>5, (x->>6)::bigint, (x->>7)::bigint FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (key, name, transform, response, event_filter, created_at, updated_at)
    = (excluded.key, excluded.name, excluded.transform, excluded.response, excluded.event_filter, excluded.created_at,
       excluded.updated_at)

-- name: drop
DELETE FROM {schema}.webhooks WHERE id IN (SELECT x->>0 FROM jsonb_array_elements({rows}) x)
