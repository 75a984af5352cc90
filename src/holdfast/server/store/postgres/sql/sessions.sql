-- Sessions and their runs. A moment's window is a range of run ids, both ends included.

-- name: keys
-- Each key by one seek, however many sessions it has.
WITH RECURSIVE k (key) AS (
    SELECT min(key) FROM {schema}.event_sessions WHERE key > :after
    UNION ALL
    SELECT (SELECT min(s.key) FROM {schema}.event_sessions s WHERE s.key > k.key) FROM k WHERE k.key IS NOT NULL
)
SELECT key, (SELECT min(s.first_run) FROM {schema}.event_sessions s WHERE s.key = k.key) FROM k
WHERE key IS NOT NULL AND strpos(lower(key), lower(:search::text COLLATE "C")) > 0 LIMIT :limit

-- name: page
-- The one that was active last comes first.
SELECT s.id, s.last_run FROM {schema}.event_sessions s
WHERE s.key = :key AND s.last_run BETWEEN :low AND :before_run AND (s.last_run, s.id) < (:before_run, :before)
  AND s.first_run <= :high AND strpos(lower(s.id), lower(:search::text COLLATE "C")) > 0
  AND EXISTS (SELECT 1 FROM {schema}.session_runs x WHERE x.key = s.key AND x.id = s.id AND x.run_id BETWEEN :low AND :high)
ORDER BY s.last_run DESC, s.id DESC LIMIT :limit

-- name: tallies
-- Of some sessions of a key: how many runs of each function there are in the window, and how many of them failed.
SELECT x.id, r.function_id, count(*), count(*) FILTER (WHERE r.status = 2) FROM {schema}.session_runs x
JOIN {schema}.runs r ON r.id = x.run_id
WHERE x.key = :key AND x.id = ANY(:ids) AND x.run_id BETWEEN :low AND :high
GROUP BY 1, 2 ORDER BY 1, 2

-- name: runs
SELECT run_id FROM {schema}.session_runs
WHERE key = :key AND id = :id AND run_id BETWEEN :low AND :high AND run_id < :before
ORDER BY run_id DESC LIMIT :limit
