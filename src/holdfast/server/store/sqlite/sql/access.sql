-- Keys, users, sessions, API tokens, the audit log. All but the last are small, and read whole at a start.

-- name: event_keys
SELECT id, name, key, created_at, revoked_at FROM event_keys ORDER BY id

-- name: put_event_key
INSERT OR REPLACE INTO event_keys (id, name, key, created_at, revoked_at) VALUES (?,?,?,?,?)

-- name: signing_keys
SELECT id, hash, key, created_at, retired_at FROM signing_keys ORDER BY id

-- name: put_signing_key
INSERT OR REPLACE INTO signing_keys (id, hash, key, created_at, retired_at) VALUES (?,?,?,?,?)

-- name: users
SELECT id, name, role, password, subject, created_at, last_login_at FROM users ORDER BY id

-- name: put_user
INSERT OR REPLACE INTO users (id, name, role, password, subject, created_at, last_login_at) VALUES (?,?,?,?,?,?,?)

-- name: drop_user
DELETE FROM users WHERE id=?

-- name: sessions
SELECT hash, user_id, created_at, seen_at, address FROM sessions

-- name: put_session
INSERT OR REPLACE INTO sessions (hash, user_id, created_at, seen_at, address) VALUES (?,?,?,?,?)

-- name: drop_session
DELETE FROM sessions WHERE hash=?

-- name: tokens
SELECT id, name, hash, hint, role, created_by, created_at, expires_at, used_at, revoked_at FROM api_tokens ORDER BY id

-- name: put_token
INSERT OR REPLACE INTO api_tokens (id, name, hash, hint, role, created_by, created_at, expires_at, used_at, revoked_at)
VALUES (?,?,?,?,?,?,?,?,?,?)

-- name: note
INSERT OR IGNORE INTO audit (id, at, actor, action, target, outcome, address) VALUES (?,?,?,?,?,?,?)

-- name: audit
SELECT id, at, actor, action, target, outcome, address FROM audit
WHERE (:before = '' OR id < :before) AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action)
ORDER BY id DESC LIMIT :limit
