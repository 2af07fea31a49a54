-- Several engines at once: which of them live, what each does, and who has what to itself.

-- heartbeat_at is renewed every few seconds while the process lives; roles are what it does, with
-- commas. presumed_dead_at is set where somebody else ended it (runner/store/workers.py).
ALTER TABLE workers ADD COLUMN heartbeat_at bigint NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN roles text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN presumed_dead_at bigint;
UPDATE workers SET heartbeat_at = coalesce(ended_at, started_at);
CREATE INDEX workers_working ON workers (id) WHERE ended_at IS NULL;

-- What one worker of an account does for all; it ends by itself.
CREATE TABLE leases (
    account_id bigint NOT NULL REFERENCES accounts,
    what       text COLLATE "C" NOT NULL,
    worker_id  bigint NOT NULL REFERENCES workers,
    until      bigint NOT NULL,
    PRIMARY KEY (account_id, what)
);
