-- What only GraphQL asks.

-- name: failed_attempts
-- How many attempts of each run failed and were made again.
SELECT run_id, count(*) FROM {schema}.spans WHERE run_id = ANY(:ids) AND {schema}.json_of(span) ->> 's' = '8' GROUP BY run_id

-- name: ai_runs
-- Runs with a step that called a model: through the gateway, in a wrapper of the SDK, or as its metadata tells.
SELECT run_id FROM (
    SELECT run_id, {schema}.json_of(span) AS span FROM {schema}.steps WHERE run_id = ANY(:ids)
    UNION ALL
    SELECT run_id, {schema}.json_of(span) FROM {schema}.spans WHERE run_id = ANY(:ids)
) found
WHERE span ->> 'o' = 'AIGateway' OR span ->> 't' LIKE 'step.ai.%' OR span -> 'd' @> '[{"kind": "inngest.ai"}]'
UNION
SELECT run_id FROM {schema}.metadata WHERE run_id = ANY(:ids) AND kind = 'inngest.ai'
