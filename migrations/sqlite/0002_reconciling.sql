-- What it takes to decide about doubtful posts, across starts. *_api_at are moments of the API's
-- own time (its Date headers), so that no jump of our clock shortens a wait.

ALTER TABLE batches ADD COLUMN intended_api_at INTEGER;
-- The first Date seen after the doubt began, the newest, and the first listing without a trace.
ALTER TABLE batches ADD COLUMN doubt_api_at INTEGER;
ALTER TABLE batches ADD COLUMN seen_api_at INTEGER;
ALTER TABLE batches ADD COLUMN clean_api_at INTEGER;
-- Tasks of it that the reply said were taken: what a sound listing has to show.
ALTER TABLE batches ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;

-- Complete listings, each read until two passes showed the same tasks.
CREATE TABLE scans (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts,
    from_api_at INTEGER NOT NULL,
    to_api_at   INTEGER NOT NULL,
    listed      INTEGER NOT NULL,
    ours        INTEGER NOT NULL,
    adopted     INTEGER NOT NULL,
    read_at     INTEGER NOT NULL
) STRICT;

-- Where the API's records and ours differ. task_id and attempt are NULL for tags that are not in
-- this store, remote_id where no single task of the API's is meant.
CREATE TABLE incidents (
    id             INTEGER PRIMARY KEY,
    kind           TEXT    NOT NULL,
    task_id        INTEGER,
    attempt        INTEGER,
    remote_id      TEXT,
    tag            TEXT,
    amount_nanousd INTEGER NOT NULL,
    message        TEXT    NOT NULL,
    opened_at      INTEGER NOT NULL,
    closed_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX incidents_once ON incidents (kind, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX batches_accepted ON batches (account_id, intended_at) WHERE accepted > 0;
