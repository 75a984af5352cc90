-- The schema of the store (docs/adr/0027). Texts compare as bytes: ids are ULIDs, which sort by time. JSON is text: what user code
-- sent comes back byte by byte.
-- Live tables (jobs, pauses, idempotency, crons, flow, batch_events) are led by their partition. History (events, runs, steps, spans)
-- is found by its ids. Totals are kept by partition, so that no two of them wait for each other's rows.

CREATE TABLE {schema}.meta (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- A commit of a partition proves its epoch under a lock that a claim conflicts with.
CREATE TABLE {schema}.partitions (
    id int PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    owner text COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 10);

-- Processes that own partitions. One that has not been heard of for its lease has lost them; the time is the database's.
CREATE TABLE {schema}.nodes (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE {schema}.apps (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL,
    method text NOT NULL,
    sdk_language text NOT NULL,
    sdk_version text NOT NULL,
    framework text NOT NULL,
    app_version text NOT NULL,
    checksum text NOT NULL,
    error text NOT NULL,
    created_at bigint NOT NULL,
    archived_at bigint,
    discovered boolean NOT NULL DEFAULT false
);

CREATE TABLE {schema}.functions (
    id text COLLATE "C" PRIMARY KEY,
    app_id text COLLATE "C" NOT NULL,
    slug text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version int NOT NULL,
    config text NOT NULL,
    created_at bigint NOT NULL,
    archived_at bigint
);

-- The same internal id can be stored more than once (a seeded request that was repeated): `n` tells the copies apart.
CREATE TABLE {schema}.events (
    id text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    json text NOT NULL,
    partition int NOT NULL,
    PRIMARY KEY (id, n, partition)
);
CREATE INDEX events_by_name ON {schema}.events (name, id, n);

CREATE TABLE {schema}.runs (
    id text COLLATE "C" PRIMARY KEY,
    function_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    scheduled_at bigint NOT NULL,
    started_at bigint,
    ended_at bigint,
    event_ids text NOT NULL,
    event_name text NOT NULL,
    cron text NOT NULL,
    batch_id text NOT NULL,
    original_run_id text NOT NULL,
    output text,
    detail text NOT NULL,
    state text NOT NULL,
    partition int NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX runs_live ON {schema}.runs (id, status, function_id) WHERE status IN (0, 5);
CREATE INDEX runs_by_status ON {schema}.runs (status, id, function_id) WHERE status BETWEEN 1 AND 3;
CREATE INDEX runs_by_function ON {schema}.runs (function_id, status, id) WHERE status BETWEEN 1 AND 3;
CREATE INDEX runs_by_started_at ON {schema}.runs (coalesce(started_at, 0), id, status, function_id) WHERE status BETWEEN 1 AND 3;
CREATE INDEX runs_by_ended_at ON {schema}.runs (coalesce(ended_at, 0), id, status, function_id) WHERE status BETWEEN 1 AND 3;
CREATE INDEX runs_skipped ON {schema}.runs (id, function_id) WHERE status = 7;

-- Which runs an event started.
CREATE TABLE {schema}.event_runs (
    event_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (event_id, run_id)
);

-- Memoised steps in the order in which they were saved: `output` is what the SDK gets (null JSON for a sleep).
CREATE TABLE {schema}.steps (
    run_id text COLLATE "C" NOT NULL,
    seq int NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    output text NOT NULL,
    span text NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- Everything else that happened to a run: failed attempts, planning calls, the function's own answers.
CREATE TABLE {schema}.spans (
    run_id text COLLATE "C" NOT NULL,
    seq int NOT NULL,
    output text,
    span text NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- Live tables are small and their rows come and go: vacuumed by number, not by a share of what is there.
CREATE TABLE {schema}.jobs (
    partition int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    no int NOT NULL,
    job text NOT NULL,
    PRIMARY KEY (partition, run_id, no)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE {schema}.pauses (
    partition int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    no int NOT NULL,
    pause text NOT NULL,
    PRIMARY KEY (partition, run_id, no)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE {schema}.idempotency (
    partition int NOT NULL,
    key text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (partition, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE {schema}.crons (
    partition int NOT NULL,
    function_id text COLLATE "C" NOT NULL,
    cron text COLLATE "C" NOT NULL,
    tick bigint NOT NULL,
    PRIMARY KEY (partition, function_id, cron)
) WITH (fillfactor = 50);

-- One row per flow-control record: rate limits and throttles (a number), debounces, batches, paused functions. `record` is JSON.
CREATE TABLE {schema}.flow (
    partition int NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    record text NOT NULL,
    PRIMARY KEY (partition, kind, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The events of batches whose runs have not started yet.
CREATE TABLE {schema}.batch_events (
    partition int NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    place int NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (partition, batch_id, place)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- Runs that another one deferred, and debug runs: known when they are scheduled, and few.
CREATE TABLE {schema}.deferred_runs (
    run_id text COLLATE "C" PRIMARY KEY,
    parent_id text COLLATE "C" NOT NULL
);
CREATE INDEX deferred_by_parent ON {schema}.deferred_runs (parent_id, run_id);

CREATE TABLE {schema}.debug_runs (
    run_id text COLLATE "C" PRIMARY KEY,
    function_id text COLLATE "C" NOT NULL
);
CREATE INDEX debug_by_function ON {schema}.debug_runs (function_id, run_id);

-- Ended runs by the time in their id: five digits of it are 2^25 ms, about nine hours. The times are those between which all
-- runs of the row started and ended; they don't shrink when runs are removed.
CREATE TABLE {schema}.run_totals (
    bucket text COLLATE "C" NOT NULL,
    function_id text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    partition int NOT NULL,
    n bigint NOT NULL,
    first_started_at bigint,
    last_started_at bigint,
    first_ended_at bigint,
    last_ended_at bigint,
    PRIMARY KEY (bucket, function_id, status, partition)
) WITH (fillfactor = 50);

-- Events by the time of their reception: a bucket is 2^24 ms, about five hours. An id may say another time than that of
-- reception (senders can seed ids): `low` and `high` are the smallest and the greatest id of a bucket.
CREATE TABLE {schema}.event_totals (
    bucket bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    n bigint NOT NULL,
    low text COLLATE "C" NOT NULL,
    high text COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, name, partition)
) WITH (fillfactor = 50);

-- Access. Times are ms since the epoch; hashes are SHA-256 in hex.
CREATE TABLE {schema}.event_keys (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    key text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);

CREATE TABLE {schema}.signing_keys (
    id text COLLATE "C" PRIMARY KEY,
    hash text NOT NULL,
    key text NOT NULL,
    created_at bigint NOT NULL,
    retired_at bigint
);

CREATE TABLE {schema}.users (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    password text NOT NULL,
    subject text NOT NULL,
    created_at bigint NOT NULL,
    last_login_at bigint
);

CREATE TABLE {schema}.sessions (
    hash text COLLATE "C" PRIMARY KEY,
    user_id text NOT NULL,
    created_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    address text NOT NULL
);

CREATE TABLE {schema}.api_tokens (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    hash text NOT NULL,
    hint text NOT NULL,
    role text NOT NULL,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    used_at bigint,
    revoked_at bigint
);

CREATE TABLE {schema}.audit (
    id text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    outcome text NOT NULL,
    address text NOT NULL
);

-- Telemetry. Metadata that came over HTTP, as it came: folded in the order of the ids (ULIDs) when it is read.
CREATE TABLE {schema}.metadata (
    run_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    scope text NOT NULL,
    step_id text NOT NULL,
    attempt int,
    span_id text NOT NULL,
    kind text NOT NULL,
    op text NOT NULL,
    "values" text NOT NULL,
    PRIMARY KEY (run_id, id)
);

CREATE TABLE {schema}.event_traces (
    event_id text COLLATE "C" PRIMARY KEY,
    trace text NOT NULL
);

-- `size` is that of the JSON in bytes, times are ns since the epoch.
CREATE TABLE {schema}.user_spans (
    run_id text COLLATE "C" NOT NULL,
    trace_id text COLLATE "C" NOT NULL,
    span_id text COLLATE "C" NOT NULL,
    start bigint NOT NULL,
    duration bigint NOT NULL,
    size int NOT NULL,
    span text NOT NULL,
    PRIMARY KEY (run_id, trace_id, span_id)
);

CREATE TABLE {schema}.webhooks (
    id text COLLATE "C" PRIMARY KEY,
    key text NOT NULL,
    name text NOT NULL,
    transform text NOT NULL,
    response text NOT NULL,
    event_filter text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

-- Workers over Connect: their last connections as JSON, and the versions of apps that they run.
CREATE TABLE {schema}.worker_connections (
    id text COLLATE "C" PRIMARY KEY,
    record text NOT NULL
);

CREATE TABLE {schema}.worker_groups (
    app_id text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    since bigint NOT NULL,
    sync_id text NOT NULL,
    PRIMARY KEY (app_id, hash)
);

-- Sessions (`meta.sessions` of events) with the runs of each. The first and the last run tell when a session began and was
-- active last: they stay when runs are removed.
CREATE TABLE {schema}.event_sessions (
    key text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    first_run text COLLATE "C" NOT NULL,
    last_run text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, id)
) WITH (fillfactor = 70);
CREATE INDEX event_sessions_by_first_run ON {schema}.event_sessions (key, first_run);
CREATE INDEX event_sessions_by_last_run ON {schema}.event_sessions (key, last_run, id);

CREATE TABLE {schema}.session_runs (
    key text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, id, run_id)
);
CREATE INDEX session_runs_by_run ON {schema}.session_runs (run_id);

-- Experiments and scores, which runs tell as metadata: here by what they are asked for.
CREATE TABLE {schema}.experiment_runs (
    function_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    variant text COLLATE "C" NOT NULL,
    strategy text NOT NULL,
    variants text NOT NULL,
    weights text NOT NULL,
    PRIMARY KEY (function_id, name, run_id)
);
CREATE INDEX experiment_runs_by_run ON {schema}.experiment_runs (run_id);

-- `step_id` is empty for scores of runs.
CREATE TABLE {schema}.scores (
    run_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (run_id, step_id, name)
);

-- What goes with a run.
CREATE FUNCTION {schema}.run_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.run_totals SET n = n - 1
    WHERE bucket = left(old.id, 5) AND function_id = old.function_id AND status = old.status AND partition = old.partition
        AND NOT EXISTS (SELECT 1 FROM {schema}.debug_runs WHERE run_id = old.id);
    DELETE FROM {schema}.debug_runs WHERE run_id = old.id;
    DELETE FROM {schema}.deferred_runs WHERE run_id = old.id;
    DELETE FROM {schema}.event_sessions s
    WHERE (s.key, s.id) IN (SELECT x.key, x.id FROM {schema}.session_runs x WHERE x.run_id = old.id)
        AND NOT EXISTS (
            SELECT 1 FROM {schema}.session_runs o WHERE o.key = s.key AND o.id = s.id AND o.run_id <> old.id
        );
    DELETE FROM {schema}.session_runs WHERE run_id = old.id;
    DELETE FROM {schema}.experiment_runs WHERE run_id = old.id;
    DELETE FROM {schema}.scores WHERE run_id = old.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER run_removed AFTER DELETE ON {schema}.runs FOR EACH ROW EXECUTE FUNCTION {schema}.run_removed();

-- Of an id that was stored more than once, the first copy counts.
CREATE FUNCTION {schema}.event_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.event_traces WHERE event_id = old.id;
    IF NOT EXISTS (SELECT 1 FROM {schema}.events WHERE id = old.id AND n < old.n) THEN
        UPDATE {schema}.event_totals SET n = n - 1
        WHERE bucket = old.received_at >> 24 AND name = old.name AND partition = old.partition;
        INSERT INTO {schema}.event_totals (bucket, name, partition, n, low, high)
        SELECT received_at >> 24, name, partition, 1, id, id FROM {schema}.events
        WHERE id = old.id ORDER BY n LIMIT 1
        ON CONFLICT (bucket, name, partition) DO UPDATE SET n = event_totals.n + 1,
            low = least(event_totals.low, excluded.low), high = greatest(event_totals.high, excluded.high);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER event_removed AFTER DELETE ON {schema}.events FOR EACH ROW EXECUTE FUNCTION {schema}.event_removed();

-- A text as JSON, or nothing if it is none. (The cast alone would fail a whole query. JSON in PostgreSQL can't hold U+0000.)
CREATE FUNCTION {schema}.json_of(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN replace(value, '\u0000', '\ufffd')::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

INSERT INTO {schema}.partitions (id) VALUES (0);
INSERT INTO {schema}.meta (key, value) VALUES ('partitions', '1');

-- A turn's commit: the rows of a document, under the proof that their partition is still the caller's.
-- The settings are those of this function alone: tables that churn have no statistics worth planning by.
CREATE FUNCTION {schema}.commit(p int, e bigint, doc jsonb) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM 1 FROM {schema}.partitions WHERE id = p AND epoch = e FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % is owned by another process', p USING ERRCODE = 'HF001';
    END IF;
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF doc ? 'event_totals' THEN
        INSERT INTO {schema}.event_totals AS t (bucket, name, partition, n, low, high)
        SELECT (x->>0)::bigint, x->>1, p, (x->>2)::bigint, x->>3, x->>4 FROM jsonb_array_elements(doc->'event_totals') x
        ON CONFLICT (bucket, name, partition) DO UPDATE SET n = t.n + excluded.n,
            low = least(t.low, excluded.low), high = greatest(t.high, excluded.high);
    END IF;
    IF doc ? 'given_events' THEN
        INSERT INTO {schema}.event_totals AS t (bucket, name, partition, n, low, high)
        SELECT (x->>1)::bigint, x->>2, p, count(*), min((x->>0) COLLATE "C"), max((x->>0) COLLATE "C")
        FROM jsonb_array_elements(doc->'given_events') x
        WHERE NOT EXISTS (SELECT 1 FROM {schema}.events v WHERE v.id = x->>0)
        GROUP BY 1, 2
        ON CONFLICT (bucket, name, partition) DO UPDATE SET n = t.n + excluded.n,
            low = least(t.low, excluded.low), high = greatest(t.high, excluded.high);
    END IF;
    IF doc ? 'events' THEN
        INSERT INTO {schema}.events (id, n, name, external_id, ts, received_at, json, partition)
        SELECT x->>0, (x->>1)::bigint, x->>2, x->>3, (x->>4)::bigint, (x->>5)::bigint, x->>6, p
        FROM jsonb_array_elements(doc->'events') x;
    END IF;
    IF doc ? 'new_runs' THEN
        INSERT INTO {schema}.runs (id, function_id, app_id, status, scheduled_at, started_at, ended_at, event_ids, event_name, cron,
            batch_id, original_run_id, output, detail, state, partition)
        SELECT x->>0, x->>1, x->>2, (x->>3)::smallint, (x->>4)::bigint, (x->>5)::bigint, (x->>6)::bigint, x->>7, x->>8, x->>9,
            x->>10, x->>11, x->>12, x->>13, x->>14, p
        FROM jsonb_array_elements(doc->'new_runs') x;
    END IF;
    IF doc ? 'runs' THEN
        UPDATE {schema}.runs r SET status = (x->>0)::smallint, started_at = (x->>1)::bigint, ended_at = (x->>2)::bigint,
            output = x->>3, detail = x->>4, state = x->>5
        FROM jsonb_array_elements(doc->'runs') x WHERE r.id = x->>6;
    END IF;
    IF doc ? 'event_runs' THEN
        INSERT INTO {schema}.event_runs (event_id, run_id)
        SELECT x->>0, x->>1 FROM jsonb_array_elements(doc->'event_runs') x ON CONFLICT DO NOTHING;
    END IF;
    IF doc ? 'steps' THEN
        INSERT INTO {schema}.steps (run_id, seq, step_id, output, span)
        SELECT x->>0, (x->>1)::int, x->>2, x->>3, x->>4 FROM jsonb_array_elements(doc->'steps') x;
    END IF;
    IF doc ? 'spans' THEN
        INSERT INTO {schema}.spans (run_id, seq, output, span)
        SELECT x->>0, (x->>1)::int, x->>2, x->>3 FROM jsonb_array_elements(doc->'spans') x;
    END IF;
    IF doc ? 'jobs' THEN
        INSERT INTO {schema}.jobs (partition, run_id, no, job)
        SELECT p, x->>0, (x->>1)::int, x->>2 FROM jsonb_array_elements(doc->'jobs') x
        ON CONFLICT (partition, run_id, no) DO UPDATE SET job = excluded.job;
    END IF;
    IF doc ? 'no_jobs' THEN
        DELETE FROM {schema}.jobs j USING jsonb_array_elements(doc->'no_jobs') x
        WHERE j.partition = p AND j.run_id = x->>0 AND j.no = (x->>1)::int;
    END IF;
    IF doc ? 'pauses' THEN
        INSERT INTO {schema}.pauses (partition, run_id, no, pause)
        SELECT p, x->>0, (x->>1)::int, x->>2 FROM jsonb_array_elements(doc->'pauses') x
        ON CONFLICT (partition, run_id, no) DO UPDATE SET pause = excluded.pause;
    END IF;
    IF doc ? 'no_pauses' THEN
        DELETE FROM {schema}.pauses j USING jsonb_array_elements(doc->'no_pauses') x
        WHERE j.partition = p AND j.run_id = x->>0 AND j.no = (x->>1)::int;
    END IF;
    IF doc ? 'run_totals' THEN
        INSERT INTO {schema}.run_totals AS t (bucket, function_id, status, partition, n, first_started_at, last_started_at,
            first_ended_at, last_ended_at)
        SELECT x->>0, x->>1, (x->>2)::smallint, p, (x->>3)::bigint, (x->>4)::bigint, (x->>5)::bigint, (x->>6)::bigint,
            (x->>7)::bigint
        FROM jsonb_array_elements(doc->'run_totals') x
        ON CONFLICT (bucket, function_id, status, partition) DO UPDATE SET n = t.n + excluded.n,
            first_started_at = least(t.first_started_at, excluded.first_started_at),
            last_started_at = greatest(t.last_started_at, excluded.last_started_at),
            first_ended_at = least(t.first_ended_at, excluded.first_ended_at),
            last_ended_at = greatest(t.last_ended_at, excluded.last_ended_at);
    END IF;
    IF doc ? 'links' THEN
        PERFORM {schema}.commit_links(doc->'links');
    END IF;
    IF doc ? 'keyed' THEN
        PERFORM {schema}.commit_keyed(p, doc->'keyed');
    END IF;
END
$$;

-- What few turns have: links of runs.
CREATE FUNCTION {schema}.commit_links(doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.deferred_runs (run_id, parent_id)
    SELECT x->>0, x->>1 FROM jsonb_array_elements(doc->'deferred_runs') x
    ON CONFLICT (run_id) DO UPDATE SET parent_id = excluded.parent_id;
    INSERT INTO {schema}.debug_runs (run_id, function_id)
    SELECT x->>0, x->>1 FROM jsonb_array_elements(doc->'debug_runs') x
    ON CONFLICT (run_id) DO UPDATE SET function_id = excluded.function_id;
    -- In one order everywhere, so that commits of two partitions never wait for each other.
    INSERT INTO {schema}.event_sessions AS s (key, id, first_run, last_run)
    SELECT x->>0, x->>1, min((x->>2) COLLATE "C"), max((x->>2) COLLATE "C") FROM jsonb_array_elements(doc->'sessions') x
    GROUP BY 1, 2 ORDER BY (x->>0) COLLATE "C", (x->>1) COLLATE "C"
    ON CONFLICT (key, id) DO UPDATE SET first_run = least(s.first_run, excluded.first_run),
        last_run = greatest(s.last_run, excluded.last_run);
    INSERT INTO {schema}.session_runs (key, id, run_id)
    SELECT x->>0, x->>1, x->>2 FROM jsonb_array_elements(doc->'sessions') x ON CONFLICT DO NOTHING;
END
$$;

-- What few turns have: records by key. Of a key that comes twice the last one counts, and what is put counts after what is dropped.
CREATE FUNCTION {schema}.commit_keyed(p int, doc jsonb) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    DELETE FROM {schema}.idempotency i USING jsonb_array_elements(doc->'forgotten') x WHERE i.partition = p AND i.key = x->>0;
    INSERT INTO {schema}.idempotency (partition, key, run_id, expires)
    SELECT DISTINCT ON (x->>0) p, x->>0, x->>1, (x->>2)::bigint
    FROM jsonb_array_elements(doc->'idempotency') WITH ORDINALITY AS given (x, place) ORDER BY x->>0, place DESC
    ON CONFLICT (partition, key) DO UPDATE SET run_id = excluded.run_id, expires = excluded.expires;
    INSERT INTO {schema}.crons (partition, function_id, cron, tick)
    SELECT p, x->>0, x->>1, (x->>2)::bigint FROM jsonb_array_elements(doc->'crons') x
    ON CONFLICT (partition, function_id, cron) DO UPDATE SET tick = excluded.tick;
    INSERT INTO {schema}.flow (partition, kind, key, record)
    SELECT p, x->>0, x->>1, x->>2 FROM jsonb_array_elements(doc->'flow') x
    ON CONFLICT (partition, kind, key) DO UPDATE SET record = excluded.record;
    DELETE FROM {schema}.flow f USING jsonb_array_elements(doc->'no_flow') x
    WHERE f.partition = p AND f.kind = x->>0 AND f.key = x->>1;
    INSERT INTO {schema}.batch_events (partition, batch_id, place, event_id)
    SELECT p, x->>0, (x->>1)::int, x->>2 FROM jsonb_array_elements(doc->'batched') x
    ON CONFLICT (partition, batch_id, place) DO UPDATE SET event_id = excluded.event_id;
    DELETE FROM {schema}.batch_events b USING jsonb_array_elements(doc->'unbatched') x
    WHERE b.partition = p AND b.batch_id = x->>0;
END
$$;
