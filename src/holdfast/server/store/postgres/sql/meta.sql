-- What the database knows about itself.

-- name: put
INSERT INTO {schema}.meta (key, value) SELECT x->>0, x->>1 FROM jsonb_array_elements({rows}) x
ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: get
SELECT value FROM {schema}.meta WHERE key = $1
