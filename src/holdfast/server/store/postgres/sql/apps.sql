-- Apps and functions, written whole.

-- name: apps
SELECT id, name, url, method, sdk_language, sdk_version, framework, app_version, checksum, error, created_at, archived_at, discovered
FROM {schema}.apps ORDER BY id

-- name: functions
SELECT id, app_id, slug, name, version, config, created_at, archived_at FROM {schema}.functions ORDER BY slug, id

-- name: put_app
INSERT INTO {schema}.apps (id, name, url, method, sdk_language, sdk_version, framework, app_version, checksum, error, created_at,
    archived_at, discovered)
SELECT x->>0, x->>1, x->>2, x->>3, x->>4, x->>5, x->>6, x->>7, x->>8, x->>9, (x->>10)::bigint, (x->>11)::bigint, (x->>12)::boolean
FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (name, url, method, sdk_language, sdk_version, framework, app_version, checksum, error, created_at,
    archived_at, discovered)
    = (excluded.name, excluded.url, excluded.method, excluded.sdk_language, excluded.sdk_version, excluded.framework,
       excluded.app_version, excluded.checksum, excluded.error, excluded.created_at, excluded.archived_at, excluded.discovered)

-- name: put_function
INSERT INTO {schema}.functions (id, app_id, slug, name, version, config, created_at, archived_at)
SELECT x->>0, x->>1, x->>2, x->>3, (x->>4)::int, x->>5, (x->>6)::bigint, (x->>7)::bigint FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (app_id, slug, name, version, config, created_at, archived_at)
    = (excluded.app_id, excluded.slug, excluded.name, excluded.version, excluded.config, excluded.created_at, excluded.archived_at)

-- name: drop_app
DELETE FROM {schema}.apps WHERE id IN (SELECT x->>0 FROM jsonb_array_elements({rows}) x)
