-- Sessions and their runs (sessions.py). A moment's window is a range of run ids, both ends included.

-- name: add_session
INSERT INTO event_sessions (key, id, first_run, last_run)
SELECT column1, column2, column3, column3 FROM (VALUES (?, ?, ?)) WHERE true
ON CONFLICT DO UPDATE SET first_run = min(first_run, excluded.first_run), last_run = max(last_run, excluded.last_run)

-- name: add_run
INSERT OR IGNORE INTO session_runs (key, id, run_id) VALUES (?, ?, ?)

-- name: keys
-- Each key by one seek, however many sessions it has.
WITH RECURSIVE k (key) AS (
    SELECT min(key) FROM event_sessions WHERE key > :after
    UNION ALL
    SELECT (SELECT min(s.key) FROM event_sessions s WHERE s.key > k.key) FROM k WHERE k.key IS NOT NULL
)
SELECT key, (SELECT min(s.first_run) FROM event_sessions s WHERE s.key = k.key) FROM k
WHERE key IS NOT NULL AND instr(lower(key), lower(:search)) LIMIT :limit

-- name: page
-- The one that was active last comes first.
SELECT s.id, s.last_run FROM event_sessions s
WHERE s.key = :key AND s.last_run BETWEEN :low AND :before_run AND (s.last_run, s.id) < (:before_run, :before)
  AND s.first_run <= :high AND instr(lower(s.id), lower(:search))
  AND EXISTS (SELECT 1 FROM session_runs x WHERE x.key = s.key AND x.id = s.id AND x.run_id BETWEEN :low AND :high)
ORDER BY s.last_run DESC, s.id DESC LIMIT :limit

-- name: tallies
-- Of some sessions of a key: how many runs of each function there are in the window, and how many of them failed.
SELECT s.value, r.function_id, count(*), sum(r.status = 2) FROM json_each(:ids) s
CROSS JOIN session_runs x ON x.key = :key AND x.id = s.value AND x.run_id BETWEEN :low AND :high
CROSS JOIN runs r ON r.id = x.run_id
GROUP BY 1, 2

-- name: runs
SELECT run_id FROM session_runs
WHERE key = :key AND id = :id AND run_id BETWEEN :low AND :high AND run_id < :before
ORDER BY run_id DESC LIMIT :limit
