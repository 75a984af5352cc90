-- Data: what retention looks for.

-- The ended runs of a function, the oldest first: written once, when a run ends.
CREATE INDEX runs_by_end ON runs (function_id, ended_at) WHERE ended_at IS NOT NULL;
