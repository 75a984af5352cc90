-- Live rows (jobs, pauses, idempotency, crons) are few and hot; history (events, runs, steps, spans) is append-only but for a run's own row.
-- Every table that an engine owns carries its partition. Ids are ULIDs as text: they sort by time.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    sdk_language TEXT NOT NULL,
    sdk_version TEXT NOT NULL,
    framework TEXT NOT NULL,
    app_version TEXT NOT NULL,
    checksum TEXT NOT NULL,
    error TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    archived_at INTEGER,
    discovered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE functions (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    config TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    archived_at INTEGER
) WITHOUT ROWID;

-- The same internal id can be stored more than once (a seeded request that was repeated): `n` tells the copies apart.
-- With rowids, unlike the others: rows of 1 to 2 KB would have an overflow page of 4 KiB each. Databases that were made before
-- have none until `db compact`.
CREATE TABLE events (
    id TEXT NOT NULL,
    n INTEGER NOT NULL,
    name TEXT NOT NULL,
    external_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    json TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (id, n)
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    function_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    event_ids TEXT NOT NULL,
    event_name TEXT NOT NULL,
    cron TEXT NOT NULL DEFAULT '',
    batch_id TEXT NOT NULL DEFAULT '',
    original_run_id TEXT NOT NULL DEFAULT '',
    output TEXT,
    detail TEXT NOT NULL,
    state TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Which runs an event started.
CREATE TABLE event_runs (
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (event_id, run_id)
) WITHOUT ROWID;

-- Memoised steps in the order in which they were saved: `output` is what the SDK gets (null JSON for a sleep).
CREATE TABLE steps (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    step_id TEXT NOT NULL,
    output TEXT NOT NULL,
    span TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

-- Everything else that happened to a run: failed attempts, planning calls, the function's own answers.
CREATE TABLE spans (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    output TEXT,
    span TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

CREATE TABLE jobs (
    run_id TEXT NOT NULL,
    no INTEGER NOT NULL,
    job TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, no)
) WITHOUT ROWID;

CREATE TABLE pauses (
    run_id TEXT NOT NULL,
    no INTEGER NOT NULL,
    pause TEXT NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, no)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    expires INTEGER NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE crons (
    function_id TEXT NOT NULL,
    cron TEXT NOT NULL,
    tick INTEGER NOT NULL,
    partition INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (function_id, cron)
) WITHOUT ROWID;
