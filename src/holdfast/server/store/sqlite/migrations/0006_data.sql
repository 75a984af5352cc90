-- Data: what retention looks for. Ended runs are in `runs_by_status` and `runs_by_function`, but for these:

CREATE INDEX runs_skipped ON runs (id, function_id) WHERE status = 7;
