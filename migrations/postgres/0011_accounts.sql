-- Several accounts of one gateway: tasks are posted with any of them, or with the one that their
-- target names, and asked for with the one that they were posted with.

ALTER TABLE accounts DROP CONSTRAINT accounts_gateway_key;
-- name is that of the table [accounts] of runner.toml; NULL for the only one of its gateway.
ALTER TABLE accounts ADD COLUMN name text COLLATE "C";
CREATE UNIQUE INDEX accounts_by_name ON accounts (gateway, coalesce(name, ''));
CREATE UNIQUE INDEX accounts_by_login ON accounts (gateway, base_url, login_hash);

-- The only account that tasks of the target are posted with; NULL: any.
ALTER TABLE targets ADD COLUMN account text COLLATE "C";

-- The account of the newest attempt, from its intent on: whom to ask for it.
ALTER TABLE tasks ADD COLUMN account_id bigint;
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
ALTER TABLE extra_charges ADD COLUMN account_id bigint REFERENCES accounts;
UPDATE extra_charges
   SET account_id = (SELECT b.account_id FROM attempts a JOIN batches b ON b.id = a.batch_id
                      WHERE a.task_id = extra_charges.task_id AND a.number = extra_charges.attempt);
ALTER TABLE incidents ADD COLUMN account_id bigint REFERENCES accounts;
UPDATE incidents SET account_id = (SELECT id FROM accounts WHERE gateway = 'dataforseo');

-- What an account was charged for each run, and what it may still be: reserved and at risk. By run,
-- so that the runs of a store do not wait for each other.
CREATE TABLE account_money (
    account_id      bigint NOT NULL REFERENCES accounts,
    run_id          bigint NOT NULL REFERENCES runs,
    charged_nanousd bigint NOT NULL,
    held_nanousd    bigint NOT NULL,
    PRIMARY KEY (account_id, run_id)
);

INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
SELECT account_id, run_id, sum(charged), sum(held)
  FROM (SELECT b.account_id AS account_id, a.run_id AS run_id, a.charged_nanousd AS charged,
               a.reserved_nanousd + a.at_risk_nanousd AS held
          FROM attempts a JOIN batches b ON b.id = a.batch_id
         UNION ALL
        SELECT account_id, run_id, charged_nanousd, reserved_nanousd + at_risk_nanousd
          FROM extra_charges WHERE account_id IS NOT NULL) AS booked
 GROUP BY account_id, run_id;

CREATE FUNCTION attempts_added_to_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
    SELECT b.account_id, n.run_id, sum(n.charged_nanousd),
           sum(n.reserved_nanousd + n.at_risk_nanousd)
      FROM added n JOIN batches b ON b.id = n.batch_id
     GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (account_id, run_id)
        DO UPDATE SET charged_nanousd = account_money.charged_nanousd + excluded.charged_nanousd,
                      held_nanousd = account_money.held_nanousd + excluded.held_nanousd;
    RETURN NULL;
END $$;
CREATE TRIGGER attempts_added_to_account AFTER INSERT ON attempts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION attempts_added_to_account();

CREATE FUNCTION attempts_booked_on_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account_money AS m
       SET charged_nanousd = m.charged_nanousd + d.charged, held_nanousd = m.held_nanousd + d.held
      FROM (SELECT b.account_id, c.run_id, sum(c.charged) AS charged, sum(c.held) AS held
              FROM (SELECT batch_id, run_id, charged_nanousd AS charged,
                           reserved_nanousd + at_risk_nanousd AS held
                      FROM after
                     UNION ALL
                    SELECT batch_id, run_id, -charged_nanousd,
                           -(reserved_nanousd + at_risk_nanousd)
                      FROM before) AS c
              JOIN batches b ON b.id = c.batch_id
             GROUP BY 1, 2 HAVING sum(c.charged) <> 0 OR sum(c.held) <> 0 ORDER BY 1, 2) AS d
     WHERE m.account_id = d.account_id AND m.run_id = d.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER attempts_booked_on_account AFTER UPDATE ON attempts
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION attempts_booked_on_account();

CREATE FUNCTION extra_charges_added_to_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_money (account_id, run_id, charged_nanousd, held_nanousd)
    SELECT account_id, run_id, sum(charged_nanousd), sum(reserved_nanousd + at_risk_nanousd)
      FROM added WHERE account_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (account_id, run_id)
        DO UPDATE SET charged_nanousd = account_money.charged_nanousd + excluded.charged_nanousd,
                      held_nanousd = account_money.held_nanousd + excluded.held_nanousd;
    RETURN NULL;
END $$;
CREATE TRIGGER extra_charges_added_to_account AFTER INSERT ON extra_charges
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION extra_charges_added_to_account();

CREATE FUNCTION extra_charges_booked_on_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account_money AS m
       SET charged_nanousd = m.charged_nanousd + d.charged, held_nanousd = m.held_nanousd + d.held
      FROM (SELECT account_id, run_id, sum(charged) AS charged, sum(held) AS held
              FROM (SELECT account_id, run_id, charged_nanousd AS charged,
                           reserved_nanousd + at_risk_nanousd AS held
                      FROM after
                     UNION ALL
                    SELECT account_id, run_id, -charged_nanousd,
                           -(reserved_nanousd + at_risk_nanousd)
                      FROM before) AS c
             GROUP BY 1, 2 HAVING sum(charged) <> 0 OR sum(held) <> 0 ORDER BY 1, 2) AS d
     WHERE m.account_id = d.account_id AND m.run_id = d.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER extra_charges_booked_on_account AFTER UPDATE ON extra_charges
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION extra_charges_booked_on_account();
