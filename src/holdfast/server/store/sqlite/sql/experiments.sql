-- Experiments: which variant runs got, and their scores (experiments.py). A window of time is a range of run ids.

-- name: add_run
-- A score tells less of the experiment than the step that made the choice: what that told stays.
INSERT INTO experiment_runs (function_id, name, run_id, variant, strategy, variants, weights)
SELECT r.function_id, v.column2, r.id, v.column3, v.column4, v.column5, v.column6
FROM (VALUES (?, ?, ?, ?, ?, ?)) v CROSS JOIN runs r ON r.id = v.column1
WHERE r.id NOT IN (SELECT run_id FROM debug_runs)
ON CONFLICT DO UPDATE SET variant = excluded.variant,
    strategy = iif(excluded.strategy = '', strategy, excluded.strategy),
    variants = iif(excluded.variants = '[]', variants, excluded.variants),
    weights = iif(excluded.strategy = '', weights, excluded.weights)

-- name: add_score
INSERT OR REPLACE INTO scores (run_id, step_id, name, value)
SELECT r.id, v.column2, v.column3, v.column4 FROM (VALUES (?, ?, ?, ?)) v CROSS JOIN runs r ON r.id = v.column1

-- name: drop_score
DELETE FROM scores WHERE run_id = ? AND step_id = ? AND name = ?

-- name: drop_scores
DELETE FROM scores WHERE run_id = ? AND step_id = ?

-- name: page
SELECT DISTINCT function_id, name FROM experiment_runs
WHERE (:function = '' OR function_id = :function) AND (function_id, name) > (:after_function, :after)
ORDER BY function_id, name LIMIT :limit

-- name: variants
SELECT variant, count(*), min(run_id), max(run_id) FROM experiment_runs
WHERE function_id = :function AND name = :name AND run_id BETWEEN :low AND :high AND (:variant = '' OR variant = :variant)
GROUP BY variant ORDER BY variant

-- name: newest
-- What the newest run that tells it says of the experiment.
SELECT strategy, variants, weights FROM experiment_runs
WHERE function_id = :function AND name = :name AND strategy <> '' ORDER BY run_id DESC LIMIT 1

-- name: metrics
SELECT e.variant, s.name, avg(s.value), min(s.value), max(s.value) FROM experiment_runs e
CROSS JOIN scores s ON s.run_id = e.run_id
WHERE e.function_id = :function AND e.name = :name AND e.run_id BETWEEN :low AND :high AND (:variant = '' OR e.variant = :variant)
GROUP BY e.variant, s.name ORDER BY e.variant, s.name
