-- Who owns what, by the database's time.

-- name: beat
INSERT INTO {schema}.nodes (id, name, lease_until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')
ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until

-- name: claim
-- What is one's own, nobody's, or of a process that has not been heard of for its lease.
UPDATE {schema}.partitions p SET epoch = p.epoch + 1, owner = $1
WHERE p.id = $2 AND (p.owner IN ('', $1) OR NOT EXISTS (
    SELECT 1 FROM {schema}.nodes n WHERE n.id = p.owner AND n.lease_until > clock_timestamp()))
RETURNING p.epoch

-- name: owner
SELECT coalesce(n.name, p.owner) FROM {schema}.partitions p LEFT JOIN {schema}.nodes n ON n.id = p.owner WHERE p.id = $1

-- name: leave
DELETE FROM {schema}.nodes WHERE id = $1

-- name: forget
-- Processes that are gone for a day.
DELETE FROM {schema}.nodes WHERE lease_until < clock_timestamp() - interval '1 day'

-- name: hold
-- For deletions: no commit comes between.
SELECT 1 FROM {schema}.partitions WHERE id = $1 AND epoch = $2 FOR UPDATE
