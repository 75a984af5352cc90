-- Experiments: which variant runs got, and their scores. A window of time is a range of run ids.

-- name: add_run
-- A score tells less of the experiment than the step that made the choice: what that told stays.
INSERT INTO {schema}.experiment_runs AS e (function_id, name, run_id, variant, strategy, variants, weights)
SELECT r.function_id, x->>1, r.id, x->>2, x->>3, x->>4, x->>5
FROM jsonb_array_elements({rows}) x JOIN {schema}.runs r ON r.id = x->>0
WHERE NOT EXISTS (SELECT 1 FROM {schema}.debug_runs d WHERE d.run_id = r.id)
ON CONFLICT (function_id, name, run_id) DO UPDATE SET variant = excluded.variant,
    strategy = CASE excluded.strategy WHEN '' THEN e.strategy ELSE excluded.strategy END,
    variants = CASE excluded.variants WHEN '[]' THEN e.variants ELSE excluded.variants END,
    weights = CASE excluded.strategy WHEN '' THEN e.weights ELSE excluded.weights END

-- name: add_score
INSERT INTO {schema}.scores (run_id, step_id, name, value)
SELECT r.id, x->>1, x->>2, (x->>3)::double precision FROM jsonb_array_elements({rows}) x JOIN {schema}.runs r ON r.id = x->>0
ON CONFLICT (run_id, step_id, name) DO UPDATE SET value = excluded.value

-- name: drop_score
DELETE FROM {schema}.scores s USING jsonb_array_elements({rows}) x
WHERE s.run_id = x->>0 AND s.step_id = x->>1 AND s.name = x->>2

-- name: drop_scores
DELETE FROM {schema}.scores s USING jsonb_array_elements({rows}) x WHERE s.run_id = x->>0 AND s.step_id = x->>1

-- name: page
SELECT DISTINCT function_id, name FROM {schema}.experiment_runs
WHERE (:function = '' OR function_id = :function) AND (function_id, name) > (:after_function, :after)
ORDER BY function_id, name LIMIT :limit

-- name: variants
SELECT variant, count(*), min(run_id), max(run_id) FROM {schema}.experiment_runs
WHERE function_id = :function AND name = :name AND run_id BETWEEN :low AND :high AND (:variant = '' OR variant = :variant)
GROUP BY variant ORDER BY variant

-- name: newest
-- What the newest run that tells it says of the experiment.
SELECT strategy, variants, weights FROM {schema}.experiment_runs
WHERE function_id = :function AND name = :name AND strategy <> '' ORDER BY run_id DESC LIMIT 1

-- name: metrics
SELECT e.variant, s.name, avg(s.value), min(s.value), max(s.value) FROM {schema}.experiment_runs e
JOIN {schema}.scores s ON s.run_id = e.run_id
WHERE e.function_id = :function AND e.name = :name AND e.run_id BETWEEN :low AND :high AND (:variant = '' OR e.variant = :variant)
GROUP BY e.variant, s.name ORDER BY e.variant, s.name
