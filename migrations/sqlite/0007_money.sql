-- What answers have cost, what a day has cost, and the limits that a start was given.

-- What tells targets of one model apart in price, beside the model: searching and thinking.
ALTER TABLE targets ADD COLUMN asks TEXT GENERATED ALWAYS AS (
    iif(coalesce(json_extract(parameters, '$.web_search'), 0)
        OR coalesce(json_extract(parameters, '$.force_web_search'), 0), 'search ', '')
    || iif(coalesce(json_extract(parameters, '$.use_reasoning'), 0), 'reasoning', '')
) VIRTUAL;

-- The last thousand charges of each kind of question: slot = number of the answer modulo 1,000, so
-- that estimates and reserves take the same time in a store of a million answers.
CREATE TABLE price_history (
    id       INTEGER PRIMARY KEY,
    endpoint TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    asks     TEXT    NOT NULL,
    answers  INTEGER NOT NULL,
    UNIQUE (endpoint, model, asks)
) STRICT;
CREATE TABLE price_samples (
    history_id      INTEGER NOT NULL REFERENCES price_history,
    slot            INTEGER NOT NULL,
    charged_nanousd INTEGER NOT NULL,
    PRIMARY KEY (history_id, slot)
) STRICT, WITHOUT ROWID;

INSERT INTO price_history (endpoint, model, asks, answers)
SELECT g.endpoint, a.model, g.asks, count(*)
  FROM attempts a JOIN tasks t ON t.id = a.task_id JOIN targets g ON g.id = t.target_id
 WHERE a.state = 'completed'
 GROUP BY g.endpoint, a.model, g.asks;

INSERT INTO price_samples (history_id, slot, charged_nanousd)
SELECT history, (answer - 1) % 1000, charged
  FROM (SELECT h.id AS history, h.answers AS answers, a.charged_nanousd AS charged,
               row_number() OVER (PARTITION BY h.id ORDER BY a.ended_at, a.task_id) AS answer
          FROM attempts a
          JOIN tasks t ON t.id = a.task_id
          JOIN targets g ON g.id = t.target_id
          JOIN price_history h
            ON h.endpoint = g.endpoint AND h.model = a.model AND h.asks = g.asks
         WHERE a.state = 'completed')
 WHERE answer > answers - 1000;

CREATE TRIGGER attempts_answered AFTER UPDATE OF state ON attempts
WHEN NEW.state = 'completed' AND OLD.state <> 'completed'
BEGIN
    INSERT INTO price_history (endpoint, model, asks, answers)
    SELECT g.endpoint, NEW.model, g.asks, 1
      FROM tasks t JOIN targets g ON g.id = t.target_id
     WHERE t.id = NEW.task_id
        ON CONFLICT (endpoint, model, asks) DO UPDATE SET answers = answers + 1;
    INSERT INTO price_samples (history_id, slot, charged_nanousd)
    SELECT h.id, (h.answers - 1) % 1000, NEW.charged_nanousd
      FROM tasks t
      JOIN targets g ON g.id = t.target_id
      JOIN price_history h
        ON h.endpoint = g.endpoint AND h.model = NEW.model AND h.asks = g.asks
     WHERE t.id = NEW.task_id
        ON CONFLICT (history_id, slot) DO UPDATE SET charged_nanousd = excluded.charged_nanousd;
END;

-- What the attempts of a job that were begun on a UTC day have cost or may cost: charged, reserved
-- and at risk. day = days since 1970.
CREATE TABLE day_money (
    job_id        INTEGER NOT NULL REFERENCES jobs,
    day           INTEGER NOT NULL,
    spent_nanousd INTEGER NOT NULL,
    PRIMARY KEY (job_id, day)
) STRICT, WITHOUT ROWID;

INSERT INTO day_money (job_id, day, spent_nanousd)
SELECT r.job_id, b.intended_at / 86400000,
       sum(a.charged_nanousd + a.reserved_nanousd + a.at_risk_nanousd)
  FROM charges a JOIN runs r ON r.id = a.run_id JOIN batches b ON b.id = a.batch_id
 GROUP BY r.job_id, b.intended_at / 86400000;

CREATE TRIGGER attempts_added_to_day AFTER INSERT ON attempts
BEGIN
    INSERT INTO day_money (job_id, day, spent_nanousd)
    SELECT r.job_id, b.intended_at / 86400000,
           NEW.charged_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
      FROM runs r, batches b
     WHERE r.id = NEW.run_id AND b.id = NEW.batch_id
        ON CONFLICT (job_id, day) DO UPDATE SET spent_nanousd = spent_nanousd + excluded.spent_nanousd;
END;

CREATE TRIGGER attempts_booked_on_day
AFTER UPDATE OF reserved_nanousd, at_risk_nanousd, charged_nanousd ON attempts
WHEN NEW.charged_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
  <> OLD.charged_nanousd + OLD.reserved_nanousd + OLD.at_risk_nanousd
BEGIN
    UPDATE day_money
       SET spent_nanousd = spent_nanousd
               + NEW.charged_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
               - OLD.charged_nanousd - OLD.reserved_nanousd - OLD.at_risk_nanousd
     WHERE job_id = (SELECT job_id FROM runs WHERE id = NEW.run_id)
       AND day = (SELECT intended_at / 86400000 FROM batches WHERE id = NEW.batch_id);
END;

-- What was charged beside an attempt belongs to that attempt's day.
CREATE TRIGGER extra_charges_added_to_day AFTER INSERT ON extra_charges
BEGIN
    UPDATE day_money
       SET spent_nanousd = spent_nanousd
               + NEW.charged_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
     WHERE job_id = (SELECT job_id FROM runs WHERE id = NEW.run_id)
       AND day = (SELECT b.intended_at / 86400000
                    FROM attempts a JOIN batches b ON b.id = a.batch_id
                   WHERE a.task_id = NEW.task_id AND a.number = NEW.attempt);
END;

CREATE TRIGGER extra_charges_booked_on_day
AFTER UPDATE OF reserved_nanousd, at_risk_nanousd, charged_nanousd ON extra_charges
BEGIN
    UPDATE day_money
       SET spent_nanousd = spent_nanousd
               + NEW.charged_nanousd + NEW.reserved_nanousd + NEW.at_risk_nanousd
               - OLD.charged_nanousd - OLD.reserved_nanousd - OLD.at_risk_nanousd
     WHERE job_id = (SELECT job_id FROM runs WHERE id = NEW.run_id)
       AND day = (SELECT b.intended_at / 86400000
                    FROM attempts a JOIN batches b ON b.id = a.batch_id
                   WHERE a.task_id = NEW.task_id AND a.number = NEW.attempt);
END;

-- Every charge, now with whose word it is: the API's own figure, or ours from what it says was spent.
DROP VIEW charges;
CREATE VIEW charges AS
SELECT task_id, number, run_id, batch_id, model, state,
       reserved_nanousd, at_risk_nanousd, advanced_nanousd,
       charged_nanousd, refunded_nanousd, over_reserve_nanousd, charge_evidence
  FROM attempts
 UNION ALL
SELECT x.task_id, x.attempt, x.run_id, a.batch_id, a.model, 'extra',
       x.reserved_nanousd, x.at_risk_nanousd, x.advanced_nanousd,
       x.charged_nanousd, x.refunded_nanousd, x.over_reserve_nanousd, x.charge_evidence
  FROM extra_charges x JOIN attempts a ON a.task_id = x.task_id AND a.number = x.attempt;

-- What --budget and --max-hold said at the latest start, so that later steps keep to it.
ALTER TABLE runs ADD COLUMN given_budget_nanousd INTEGER;
ALTER TABLE runs ADD COLUMN given_hold_nanousd INTEGER;
