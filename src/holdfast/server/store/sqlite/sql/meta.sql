-- What the database knows about itself.

-- name: put
INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)

-- name: get
SELECT value FROM meta WHERE key = ?
