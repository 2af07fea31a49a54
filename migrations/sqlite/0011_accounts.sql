-- Several accounts of one gateway: tasks are posted with any of them, or with the one that their
-- target names, and asked for with the one that they were posted with.

-- Other tables refer to the one that is made anew: at the end of the transaction all is in place.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE accounts_before AS SELECT * FROM accounts;
DROP TABLE accounts;
-- name is that of the table [accounts] of runner.toml; NULL for the only one of its gateway.
CREATE TABLE accounts (
    id           INTEGER PRIMARY KEY,
    gateway      TEXT    NOT NULL,
    name         TEXT,
    base_url     TEXT    NOT NULL,
    login_hash   TEXT    NOT NULL,
    paused_for   TEXT,
    paused_until INTEGER
) STRICT;
INSERT INTO accounts (id, gateway, base_url, login_hash, paused_for, paused_until)
SELECT id, gateway, base_url, login_hash, paused_for, paused_until FROM accounts_before;
DROP TABLE accounts_before;
CREATE UNIQUE INDEX accounts_by_name ON accounts (gateway, coalesce(name, ''));
CREATE UNIQUE INDEX accounts_by_login ON accounts (gateway, base_url, login_hash);

-- The only account that tasks of the target are posted with; NULL: any.
ALTER TABLE targets ADD COLUMN account TEXT;

-- The account of the newest attempt, from its intent on: whom to ask for it.
ALTER TABLE tasks ADD COLUMN account_id INTEGER;
UPDATE tasks
   SET account_id = (SELECT b.account_id FROM attempts a JOIN batches b ON b.id = a.batch_id
                      WHERE a.task_id = tasks.id AND a.number = tasks.attempt)
 WHERE attempt > 0 AND state <> 'completed';
DROP INDEX tasks_to_ask;
CREATE INDEX tasks_to_ask ON tasks (account_id, ready DESC, due_at, id) WHERE state = 'posted';
DROP INDEX tasks_posted;
CREATE INDEX tasks_posted ON tasks (target_id, account_id, posted_at) WHERE state = 'posted';

-- Whether its ready list is trusted is kept for each account.
INSERT INTO install (name, value)
SELECT 'ready_list_trusted.' || c.id, i.value FROM install i, accounts c
 WHERE i.name = 'ready_list_trusted' AND c.gateway = 'dataforseo';
DELETE FROM install WHERE name = 'ready_list_trusted';

-- Where a second task, or a difference, was found.
ALTER TABLE extra_charges ADD COLUMN account_id INTEGER REFERENCES accounts;
UPDATE extra_charges
   SET account_id = (SELECT b.account_id FROM attempts a JOIN batches b ON b.id = a.batch_id
                      WHERE a.task_id = extra_charges.task_id AND a.number = extra_charges.attempt);
ALTER TABLE incidents ADD COLUMN account_id INTEGER REFERENCES accounts;
UPDATE incidents SET account_id = (SELECT id FROM accounts WHERE gateway = 'dataforseo');

-- What an account was charged for each run, and what it may still be: reserved and at risk. By run,
-- so that the runs of a store do not wait for each other.
CREATE TABLE account_money (
    account_id      INTEGER NOT NULL REFERENCES accounts,
    run_id          INTEGER NOT NULL REFERENCES runs,
    charged_nanousd INTEGER NOT NULL,
    held_nanousd    INTEGER NOT NULL,
    PRIMARY KEY (account_id, run_id)
) STRICT, WITHOUT ROWID;

INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
SELECT account_id, run_id, sum(charged), sum(held)
  FROM (SELECT b.account_id AS account_id, a.run_id AS run_id, a.charged_nanousd AS charged,
               a.reserved_nanousd + a.at_risk_nanousd AS held
          FROM attempts a JOIN batches b ON b.id = a.batch_id
         UNION ALL
        SELECT account_id, run_id, charged_nanousd, reserved_nanousd + at_risk_nanousd
          FROM extra_charges WHERE account_id IS NOT NULL)
 GROUP BY account_id, run_id;

CREATE TRIGGER attempts_added_to_account AFTER INSERT ON attempts
BEGIN
    INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
    SELECT b.account_id, NEW.run_id, NEW.charged_nanousd, NEW.reserved_nanousd + NEW.at_risk_nanousd
      FROM batches b WHERE b.id = NEW.batch_id
        ON CONFLICT (account_id, run_id)
        DO UPDATE SET charged_nanousd = charged_nanousd + excluded.charged_nanousd,
                      held_nanousd = held_nanousd + excluded.held_nanousd;
END;

CREATE TRIGGER attempts_booked_on_account
AFTER UPDATE OF reserved_nanousd, at_risk_nanousd, charged_nanousd ON attempts
WHEN NEW.charged_nanousd <> OLD.charged_nanousd
  OR NEW.reserved_nanousd + NEW.at_risk_nanousd <> OLD.reserved_nanousd + OLD.at_risk_nanousd
BEGIN
    UPDATE account_money
       SET charged_nanousd = charged_nanousd + NEW.charged_nanousd - OLD.charged_nanousd,
           held_nanousd = held_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
                        - OLD.reserved_nanousd - OLD.at_risk_nanousd
     WHERE account_id = (SELECT account_id FROM batches WHERE id = NEW.batch_id)
       AND run_id = NEW.run_id;
END;

CREATE TRIGGER extra_charges_added_to_account AFTER INSERT ON extra_charges
WHEN NEW.account_id IS NOT NULL
BEGIN
    INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
    VALUES (NEW.account_id, NEW.run_id, NEW.charged_nanousd,
            NEW.reserved_nanousd + NEW.at_risk_nanousd)
        ON CONFLICT (account_id, run_id)
        DO UPDATE SET charged_nanousd = charged_nanousd + excluded.charged_nanousd,
                      held_nanousd = held_nanousd + excluded.held_nanousd;
END;

CREATE TRIGGER extra_charges_booked_on_account
AFTER UPDATE OF reserved_nanousd, at_risk_nanousd, charged_nanousd ON extra_charges
BEGIN
    UPDATE account_money
       SET charged_nanousd = charged_nanousd + NEW.charged_nanousd - OLD.charged_nanousd,
           held_nanousd = held_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
                        - OLD.reserved_nanousd - OLD.at_risk_nanousd
     WHERE account_id = NEW.account_id AND run_id = NEW.run_id;
END;
