-- Workers over Connect: their last connections as JSON, and the versions of apps that they run.
CREATE TABLE worker_connections (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE worker_groups (
    app_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    since INTEGER NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (app_id, hash)
) WITHOUT ROWID;
