-- What was paid beside the attempts, and the daily comparison of the API's records with ours.

-- Tasks at the API that an attempt has beside its own: a post that was repeated on its way, or one
-- that arrived after it was taken for absent. Their answers are fetched, kept and paid like others.
CREATE TABLE extra_charges (
    remote_id        TEXT    PRIMARY KEY,
    task_id          INTEGER NOT NULL REFERENCES tasks,
    attempt          INTEGER NOT NULL,
    run_id           INTEGER NOT NULL REFERENCES runs,
    tag              TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('posted', 'completed', 'failed', 'expired')),
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
    polls            INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER,
    posted_at        INTEGER NOT NULL,
    found_at         INTEGER NOT NULL,
    ended_at         INTEGER,
    FOREIGN KEY (task_id, attempt) REFERENCES attempts (task_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX extra_charges_due ON extra_charges (due_at) WHERE state = 'posted';
CREATE INDEX extra_charges_by_task ON extra_charges (task_id);

-- Their replies to the byte, zlib-compressed.
CREATE TABLE extra_replies (
    remote_id TEXT    PRIMARY KEY REFERENCES extra_charges,
    task_id   INTEGER NOT NULL REFERENCES tasks,
    raw       BLOB    NOT NULL
) STRICT;
CREATE INDEX extra_replies_by_task ON extra_replies (task_id);

CREATE TRIGGER extra_charges_added AFTER INSERT ON extra_charges
BEGIN
    UPDATE run_money
       SET reserved_nanousd = reserved_nanousd + NEW.reserved_nanousd,
           at_risk_nanousd = at_risk_nanousd + NEW.at_risk_nanousd,
           advanced_nanousd = advanced_nanousd + NEW.advanced_nanousd,
           charged_nanousd = charged_nanousd + NEW.charged_nanousd,
           refunded_nanousd = refunded_nanousd + NEW.refunded_nanousd,
           over_reserve_nanousd = over_reserve_nanousd + NEW.over_reserve_nanousd
     WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER extra_charges_booked AFTER UPDATE ON extra_charges
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

-- Every charge: those of attempts, and beside them the extra ones.
CREATE VIEW charges AS
SELECT task_id, number, run_id, batch_id, model, state,
       reserved_nanousd, at_risk_nanousd, advanced_nanousd,
       charged_nanousd, refunded_nanousd, over_reserve_nanousd
  FROM attempts
 UNION ALL
SELECT x.task_id, x.attempt, x.run_id, a.batch_id, a.model, 'extra',
       x.reserved_nanousd, x.at_risk_nanousd, x.advanced_nanousd,
       x.charged_nanousd, x.refunded_nanousd, x.over_reserve_nanousd
  FROM extra_charges x JOIN attempts a ON a.task_id = x.task_id AND a.number = x.attempt;

-- Comparisons of the account's listing with this store. Moments of the API's own time.
CREATE TABLE audits (
    id             INTEGER PRIMARY KEY,
    account_id     INTEGER NOT NULL REFERENCES accounts,
    from_api_at    INTEGER NOT NULL,
    to_api_at      INTEGER NOT NULL,
    whole          INTEGER NOT NULL,
    listed         INTEGER NOT NULL,
    compared       INTEGER NOT NULL,
    listed_nanousd INTEGER NOT NULL,
    booked_nanousd INTEGER NOT NULL,
    differing      INTEGER NOT NULL,
    missing        INTEGER NOT NULL,
    incidents      INTEGER NOT NULL,
    read_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX audits_by_time ON audits (account_id, to_api_at);
CREATE INDEX incidents_of_task ON incidents (task_id) WHERE closed_at IS NULL;

DROP VIEW results_v1;
-- The documented view: one line per task, stable names, the same words as exports and --json.
-- The answer is that of a completed task's last attempt; cost_nanousd is what all its attempts cost,
-- and what was paid for it beside them.
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
       (SELECT sum(e.charged_nanousd) FROM attempts e WHERE e.task_id = t.id)
           + (SELECT coalesce(sum(x.charged_nanousd), 0) FROM extra_charges x WHERE x.task_id = t.id)
           AS cost_nanousd,
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
