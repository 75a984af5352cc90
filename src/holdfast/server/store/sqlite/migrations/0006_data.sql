-- Data: what retention looks for. Ended runs are in `runs_by_function`, but for these:

CREATE INDEX runs_skipped ON runs (function_id, id) WHERE status = 7;
