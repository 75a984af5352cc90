-- Keys, users, sessions, API tokens, the audit log. All but the last are small, and read whole at a start.
-- Rows that are put or dropped come as one JSON array of arrays, `{rows}`.

-- name: event_keys
SELECT id, name, key, created_at, revoked_at FROM {schema}.event_keys ORDER BY id

-- name: put_event_key
INSERT INTO {schema}.event_keys (id, name, key, created_at, revoked_at)
SELECT x->>0, x->>1, x->>2, (x->>3)::bigint, (x->>4)::bigint FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (name, key, created_at, revoked_at) = (excluded.name, excluded.key, excluded.created_at, excluded.revoked_at)

-- name: signing_keys
SELECT id, hash, key, created_at, retired_at FROM {schema}.signing_keys ORDER BY id

-- name: put_signing_key
INSERT INTO {schema}.signing_keys (id, hash, key, created_at, retired_at)
SELECT x->>0, x->>1, x->>2, (x->>3)::bigint, (x->>4)::bigint FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (hash, key, created_at, retired_at) = (excluded.hash, excluded.key, excluded.created_at, excluded.retired_at)

-- name: users
SELECT id, name, role, password, subject, created_at, last_login_at FROM {schema}.users ORDER BY id

-- name: put_user
INSERT INTO {schema}.users (id, name, role, password, subject, created_at, last_login_at)
SELECT x->>0, x->>1, x->>2, x->>3, x->>4, (x->>5)::bigint, (x->>6)::bigint FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (name, role, password, subject, created_at, last_login_at)
    = (excluded.name, excluded.role, excluded.password, excluded.subject, excluded.created_at, excluded.last_login_at)

-- name: drop_user
DELETE FROM {schema}.users WHERE id IN (SELECT x->>0 FROM jsonb_array_elements({rows}) x)

-- name: sessions
SELECT hash, user_id, created_at, seen_at, address FROM {schema}.sessions

-- name: put_session
INSERT INTO {schema}.sessions (hash, user_id, created_at, seen_at, address)
SELECT x->>0, x->>1, (x->>2)::bigint, (x->>3)::bigint, x->>4 FROM jsonb_array_elements({rows}) x
ON CONFLICT (hash) DO UPDATE SET (user_id, created_at, seen_at, address)
    = (excluded.user_id, excluded.created_at, excluded.seen_at, excluded.address)

-- name: drop_session
DELETE FROM {schema}.sessions WHERE hash IN (SELECT x->>0 FROM jsonb_array_elements({rows}) x)

-- name: tokens
SELECT id, name, hash, hint, role, created_by, created_at, expires_at, used_at, revoked_at FROM {schema}.api_tokens ORDER BY id

-- name: put_token
INSERT INTO {schema}.api_tokens (id, name, hash, hint, role, created_by, created_at, expires_at, used_at, revoked_at)
SELECT x->>0, x->>1, x->>2, x->>3, x->>4, x->>5, (x->>6)::bigint, (x->>7)::bigint, (x->>8)::bigint, (x->>9)::bigint
FROM jsonb_array_elements({rows}) x
ON CONFLICT (id) DO UPDATE SET (name, hash, hint, role, created_by, created_at, expires_at, used_at, revoked_at)
    = (excluded.name, excluded.hash, excluded.hint, excluded.role, excluded.created_by, excluded.created_at, excluded.expires_at,
       excluded.used_at, excluded.revoked_at)

-- name: note
INSERT INTO {schema}.audit (id, at, actor, action, target, outcome, address)
SELECT x->>0, (x->>1)::bigint, x->>2, x->>3, x->>4, x->>5, x->>6 FROM jsonb_array_elements({rows}) x
ON CONFLICT DO NOTHING

-- name: audit
SELECT id, at, actor, action, target, outcome, address FROM {schema}.audit
WHERE (:before = '' OR id < :before) AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action)
ORDER BY id DESC LIMIT :limit
