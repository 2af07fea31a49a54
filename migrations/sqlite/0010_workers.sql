-- Several engines at once, which PostgreSQL allows; here there is one, and the tables are the same.

-- heartbeat_at is renewed every few seconds while the process lives; roles are what it does, with
-- commas. presumed_dead_at is set where somebody else ended it (runner/store/workers.py).
ALTER TABLE workers ADD COLUMN heartbeat_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN roles TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN presumed_dead_at INTEGER;
UPDATE workers SET heartbeat_at = coalesce(ended_at, started_at);
CREATE INDEX workers_working ON workers (id) WHERE ended_at IS NULL;

-- What one worker of an account does for all; it ends by itself.
CREATE TABLE leases (
    account_id INTEGER NOT NULL REFERENCES accounts,
    what       TEXT    NOT NULL,
    worker_id  INTEGER NOT NULL REFERENCES workers,
    until      INTEGER NOT NULL,
    PRIMARY KEY (account_id, what)
) STRICT, WITHOUT ROWID;
