-- One row per flow-control record: rate limits and throttles (a number), debounces, batches, paused functions. `record` is JSON.
CREATE TABLE flow (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    record TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- The events of batches whose runs have not started yet.
CREATE TABLE batch_events (
    batch_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch_id, place)
) WITHOUT ROWID;
