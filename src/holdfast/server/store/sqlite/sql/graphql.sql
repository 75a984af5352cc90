-- What only GraphQL asks. Lists of ids come as one JSON array.

-- name: failed_attempts
-- How many attempts of each run failed and were made again.
SELECT run_id, count(*) FROM spans
WHERE run_id IN (SELECT value FROM json_each(:ids)) AND json_extract(CAST(span AS TEXT), '$.s') = 8
GROUP BY run_id

-- name: ai_runs
-- Runs with a step that called a model: through the gateway, in a wrapper of the SDK, or as its metadata tells.
SELECT run_id FROM (
    SELECT run_id, CAST(span AS TEXT) AS span FROM steps WHERE run_id IN (SELECT value FROM json_each(:ids))
    UNION ALL
    SELECT run_id, CAST(span AS TEXT) FROM spans WHERE run_id IN (SELECT value FROM json_each(:ids))
)
WHERE json_extract(span, '$.o') = 'AIGateway' OR json_extract(span, '$.t') LIKE 'step.ai.%'
    OR EXISTS (SELECT 1 FROM json_each(span, '$.d') d WHERE json_extract(d.value, '$.kind') = 'inngest.ai')
UNION
SELECT run_id FROM metadata WHERE run_id IN (SELECT value FROM json_each(:ids)) AND kind = 'inngest.ai'
