-- Webhooks as sources of events. `event_filter` is JSON, or nothing.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    transform TEXT NOT NULL,
    response TEXT NOT NULL,
    event_filter TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
