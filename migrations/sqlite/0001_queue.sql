-- The queue, the money and the answers. Times are milliseconds since 1970 UTC, money is
-- integer nano-dollars (10^-9 USD). States and reasons are those of runner/lifecycle.py.

CREATE TABLE install (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Whom the store belongs to. One account per gateway; the login only as a hash.
CREATE TABLE accounts (
    id           INTEGER PRIMARY KEY,
    gateway      TEXT    NOT NULL UNIQUE,
    base_url     TEXT    NOT NULL,
    login_hash   TEXT    NOT NULL,
    paused_for   TEXT,
    paused_until INTEGER
) STRICT;

-- Calls of the kinds whose limit is a handful a minute, so that a restart does not forget them.
CREATE TABLE calls (
    account_id INTEGER NOT NULL REFERENCES accounts,
    kind       TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_by_time ON calls (account_id, kind, at);

-- One row for each life of an engine process.
CREATE TABLE workers (
    id         INTEGER PRIMARY KEY,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    boot       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;

-- source is the job file as last run, so that later commands find the job again; '' if there is none.
CREATE TABLE jobs (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    job_id      INTEGER NOT NULL REFERENCES jobs,
    key         TEXT    NOT NULL,
    fresh       INTEGER NOT NULL,
    tag_part    TEXT    NOT NULL,
    api         TEXT    NOT NULL,
    key_columns TEXT    NOT NULL,
    tries       INTEGER NOT NULL CHECK (tries > 0),
    created_at  INTEGER NOT NULL,
    pruned_at   INTEGER,
    UNIQUE (job_id, key, fresh)
) STRICT;

-- A person's word to post nothing: for one run, for a job (its later runs too), or, with neither
-- named, for the whole store.
CREATE TABLE pauses (
    id        INTEGER PRIMARY KEY,
    job_id    INTEGER REFERENCES jobs,
    run_id    INTEGER REFERENCES runs,
    paused_at INTEGER NOT NULL,
    until     INTEGER,
    reason    TEXT    NOT NULL DEFAULT '',
    CHECK (job_id IS NULL OR run_id IS NULL)
) STRICT;
CREATE UNIQUE INDEX pauses_once ON pauses (coalesce(job_id, 0), coalesce(run_id, 0));

CREATE TABLE targets (
    id               INTEGER PRIMARY KEY,
    run_id           INTEGER NOT NULL REFERENCES runs,
    name             TEXT    NOT NULL,
    endpoint         TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    parameters       TEXT    NOT NULL,
    reserve_nanousd  INTEGER NOT NULL CHECK (reserve_nanousd > 0),
    UNIQUE (run_id, name)
) STRICT;

CREATE TABLE loads (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES runs,
    digest      TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    columns     TEXT    NOT NULL,
    row_count   INTEGER NOT NULL DEFAULT 0,
    duplicates  INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
CREATE INDEX loads_by_run ON loads (run_id, id);

-- A row's identity within its run; its cells stand in input_rows.
CREATE TABLE rows (
    id     INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs,
    key    BLOB    NOT NULL,
    UNIQUE (run_id, key)
) STRICT;

-- The lines of the input as last loaded. A row that a later load no longer has keeps its line.
CREATE TABLE input_rows (
    id           INTEGER PRIMARY KEY,
    load_id      INTEGER NOT NULL REFERENCES loads,
    position     INTEGER NOT NULL,
    line         INTEGER NOT NULL,
    row_id       INTEGER NOT NULL REFERENCES rows,
    duplicate_of INTEGER,
    cells        TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX input_rows_in_order ON input_rows (load_id, position);
CREATE INDEX input_rows_by_row ON input_rows (row_id, load_id, position);

-- Narrow, because every step of a task rewrites its line. Payloads and answers stand apart.
-- An id is part of the tags sent for it, so it is never given twice, not even after a prune.
CREATE TABLE tasks (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id    INTEGER NOT NULL REFERENCES runs,
    row_id    INTEGER NOT NULL REFERENCES rows,
    target_id INTEGER NOT NULL REFERENCES targets,
    sample    INTEGER NOT NULL,
    turn      INTEGER NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('pending', 'posting', 'unknown', 'posted', 'completed',
                                                'failed', 'expired', 'quarantined', 'cancelled')),
    reason    TEXT    NOT NULL DEFAULT '',
    attempt   INTEGER NOT NULL DEFAULT 0,
    tries     INTEGER NOT NULL DEFAULT 0,
    polls     INTEGER NOT NULL DEFAULT 0,
    ready     INTEGER NOT NULL DEFAULT 0,
    changed   INTEGER NOT NULL DEFAULT 0,
    due_at    INTEGER,
    posted_at INTEGER,
    leased_by INTEGER,
    UNIQUE (row_id, target_id, sample, turn)
) STRICT;
-- Partial, so that finished tasks cost the queue nothing.
CREATE INDEX tasks_to_post ON tasks (run_id, target_id, due_at, id)
    WHERE state = 'pending' AND changed = 0;
CREATE INDEX tasks_to_ask ON tasks (ready DESC, due_at, id) WHERE state = 'posted';
CREATE INDEX tasks_in_doubt ON tasks (state, id) WHERE state IN ('posting', 'unknown');
CREATE INDEX tasks_changed ON tasks (run_id) WHERE changed = 1;
CREATE INDEX tasks_unsuccessful ON tasks (run_id, state, id)
    WHERE state IN ('failed', 'expired', 'quarantined');
CREATE INDEX tasks_posted ON tasks (target_id, posted_at) WHERE state = 'posted';

-- The request as it is asked. kept_hash is an edited request that a person decided not to ask.
CREATE TABLE payloads (
    task_id   INTEGER PRIMARY KEY REFERENCES tasks,
    hash      BLOB NOT NULL,
    kept_hash BLOB,
    body      TEXT NOT NULL
) STRICT;

-- Requests that the input now has for tasks already queued, until a person says ask or keep.
CREATE TABLE changes (
    task_id INTEGER PRIMARY KEY REFERENCES tasks,
    hash    BLOB NOT NULL,
    body    TEXT NOT NULL
) STRICT;

CREATE TABLE batches (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts,
    worker_id   INTEGER NOT NULL REFERENCES workers,
    endpoint    TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    body_sha256 TEXT    NOT NULL,
    intended_at INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    outcome     TEXT    CHECK (outcome IN ('answered', 'refused', 'not_sent', 'unknown')),
    code        INTEGER,
    message     TEXT,
    settled_at  INTEGER
) STRICT;
CREATE INDEX batches_open ON batches (worker_id) WHERE outcome IS NULL;

-- One line for each possible charge. Amounts move between the columns, see docs/costs.md:
-- reserved while it may still cost, at_risk while nobody knows, advanced, charged, refunded as booked.
CREATE TABLE attempts (
    task_id          INTEGER NOT NULL REFERENCES tasks,
    number           INTEGER NOT NULL,
    run_id           INTEGER NOT NULL REFERENCES runs,
    batch_id         INTEGER NOT NULL REFERENCES batches,
    model            TEXT    NOT NULL,
    tag              TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('posting', 'posted', 'unknown', 'completed', 'failed',
                                                       'expired', 'refused', 'not_taken', 'absent',
                                                       'quarantined')),
    remote_id        TEXT,
    code             INTEGER,
    message          TEXT,
    reserved_nanousd INTEGER NOT NULL DEFAULT 0,
    at_risk_nanousd  INTEGER NOT NULL DEFAULT 0,
    advanced_nanousd INTEGER NOT NULL DEFAULT 0,
    charged_nanousd  INTEGER NOT NULL DEFAULT 0,
    refunded_nanousd INTEGER NOT NULL DEFAULT 0,
    over_reserve_nanousd INTEGER NOT NULL DEFAULT 0,
    advance_evidence TEXT,
    charge_evidence  TEXT,
    accepted_at      INTEGER,
    ended_at         INTEGER,
    PRIMARY KEY (task_id, number)
) STRICT, WITHOUT ROWID;
-- At most one possible charge of a task is open at any time.
CREATE UNIQUE INDEX attempts_open ON attempts (task_id) WHERE state IN ('posting', 'posted', 'unknown');

CREATE TABLE results (
    task_id             INTEGER NOT NULL REFERENCES tasks,
    attempt             INTEGER NOT NULL,
    received_at         INTEGER NOT NULL,
    answered_at         INTEGER,
    model_name          TEXT,
    input_tokens        INTEGER,
    output_tokens       INTEGER,
    reasoning_tokens    INTEGER,
    web_search          INTEGER,
    money_spent_nanousd INTEGER NOT NULL,
    answer              TEXT NOT NULL,
    reasoning           TEXT,
    fan_out_queries     TEXT,
    parse_error         TEXT,
    PRIMARY KEY (task_id, attempt)
) STRICT;

-- The API's reply to the byte, zlib-compressed: answers can be parsed again, for nothing.
CREATE TABLE replies (
    task_id INTEGER NOT NULL REFERENCES tasks,
    attempt INTEGER NOT NULL,
    raw     BLOB    NOT NULL,
    PRIMARY KEY (task_id, attempt)
) STRICT;

CREATE TABLE citations (
    task_id     INTEGER NOT NULL REFERENCES tasks,
    attempt     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    url         TEXT,
    title       TEXT,
    text        TEXT,
    start_index INTEGER,
    end_index   INTEGER,
    extra       TEXT,
    PRIMARY KEY (task_id, attempt, position)
) STRICT, WITHOUT ROWID;

-- Counts and sums that every screen asks for, kept by the writes themselves.
CREATE TABLE run_states (
    run_id  INTEGER NOT NULL REFERENCES runs,
    state   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    changed INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (run_id, state, reason, changed)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tasks_added AFTER INSERT ON tasks
BEGIN
    INSERT INTO run_states (run_id, state, reason, changed, n)
    VALUES (NEW.run_id, NEW.state, NEW.reason, NEW.changed, 1)
        ON CONFLICT (run_id, state, reason, changed) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER tasks_moved AFTER UPDATE OF state, reason, changed ON tasks
WHEN OLD.state <> NEW.state OR OLD.reason <> NEW.reason OR OLD.changed <> NEW.changed
BEGIN
    UPDATE run_states SET n = n - 1
     WHERE run_id = OLD.run_id AND state = OLD.state AND reason = OLD.reason
       AND changed = OLD.changed;
    INSERT INTO run_states (run_id, state, reason, changed, n)
    VALUES (NEW.run_id, NEW.state, NEW.reason, NEW.changed, 1)
        ON CONFLICT (run_id, state, reason, changed) DO UPDATE SET n = n + 1;
END;

CREATE TABLE run_money (
    run_id               INTEGER PRIMARY KEY REFERENCES runs,
    reserved_nanousd     INTEGER NOT NULL DEFAULT 0,
    at_risk_nanousd      INTEGER NOT NULL DEFAULT 0,
    advanced_nanousd     INTEGER NOT NULL DEFAULT 0,
    charged_nanousd      INTEGER NOT NULL DEFAULT 0,
    refunded_nanousd     INTEGER NOT NULL DEFAULT 0,
    over_reserve_nanousd INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER attempts_added AFTER INSERT ON attempts
BEGIN
    UPDATE run_money SET reserved_nanousd = reserved_nanousd + NEW.reserved_nanousd
     WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER attempts_booked
AFTER UPDATE OF reserved_nanousd, at_risk_nanousd, advanced_nanousd, charged_nanousd, refunded_nanousd,
                over_reserve_nanousd ON attempts
BEGIN
    UPDATE run_money
       SET reserved_nanousd = reserved_nanousd + NEW.reserved_nanousd - OLD.reserved_nanousd,
           at_risk_nanousd = at_risk_nanousd + NEW.at_risk_nanousd - OLD.at_risk_nanousd,
           advanced_nanousd = advanced_nanousd + NEW.advanced_nanousd - OLD.advanced_nanousd,
           charged_nanousd = charged_nanousd + NEW.charged_nanousd - OLD.charged_nanousd,
           refunded_nanousd = refunded_nanousd + NEW.refunded_nanousd - OLD.refunded_nanousd,
           over_reserve_nanousd = over_reserve_nanousd + NEW.over_reserve_nanousd - OLD.over_reserve_nanousd
     WHERE run_id = NEW.run_id;
END;

-- The documented view: one line per task, stable names, the same words as exports and --json.
-- The answer is that of a completed task's last attempt; cost_nanousd is what all its attempts cost.
-- Where `prune` deleted prompt and answer, both are NULL and the reason, if there was none, is pruned.
CREATE VIEW results_v1 AS
SELECT j.name AS job,
       r.key AS run_key,
       r.id AS run_id,
       t.id AS task_id,
       g.name AS target,
       substr(g.endpoint, instr(g.endpoint, '/') + 1,
              instr(substr(g.endpoint, instr(g.endpoint, '/') + 1), '/') - 1) AS provider,
       coalesce(json_extract(p.body, '$.model_name'), a.model, g.model) AS model,
       t.sample AS sample,
       t.turn AS turn,
       t.state AS state,
       coalesce(nullif(t.reason, ''), iif(p.task_id IS NULL, 'pruned', NULL)) AS reason,
       a.code AS error_code,
       a.message AS error_message,
       t.attempt AS attempts,
       json_extract(p.body, '$.user_prompt') AS prompt,
       s.answer AS answer,
       s.reasoning AS reasoning,
       s.model_name AS model_name,
       s.input_tokens AS input_tokens,
       s.output_tokens AS output_tokens,
       s.reasoning_tokens AS reasoning_tokens,
       s.web_search AS web_search,
       s.fan_out_queries AS fan_out_queries,
       iif(s.task_id IS NULL, NULL,
           (SELECT json_group_array(url)
              FROM (SELECT c.url FROM citations c
                     WHERE c.task_id = s.task_id AND c.attempt = s.attempt
                     ORDER BY c.position))) AS citation_urls,
       s.money_spent_nanousd AS money_spent_nanousd,
       (SELECT sum(e.charged_nanousd) FROM attempts e WHERE e.task_id = t.id) AS cost_nanousd,
       a.remote_id AS remote_id,
       a.tag AS tag,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.accepted_at / 1000, 'unixepoch') AS posted_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.answered_at / 1000, 'unixepoch') AS answered_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.received_at / 1000, 'unixepoch') AS received_at
  FROM tasks t
  JOIN runs r ON r.id = t.run_id
  JOIN jobs j ON j.id = r.job_id
  JOIN targets g ON g.id = t.target_id
  LEFT JOIN payloads p ON p.task_id = t.id
  LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
  LEFT JOIN results s ON s.task_id = t.id AND s.attempt = t.attempt AND t.state = 'completed';
