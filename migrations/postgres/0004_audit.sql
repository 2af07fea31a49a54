-- What was paid beside the attempts, and the daily comparison of the API's records with ours.

-- Tasks at the API that an attempt has beside its own: a post that was repeated on its way, or one
-- that arrived after it was taken for absent. Their answers are fetched, kept and paid like others.
CREATE TABLE extra_charges (
    remote_id        text COLLATE "C" PRIMARY KEY,
    task_id          bigint NOT NULL REFERENCES tasks,
    attempt          bigint NOT NULL,
    run_id           bigint NOT NULL REFERENCES runs,
    tag              text COLLATE "C" NOT NULL,
    state            text COLLATE "C" NOT NULL CHECK (state IN ('posted', 'completed', 'failed', 'expired')),
    code             bigint,
    message          text COLLATE "C",
    reserved_nanousd bigint NOT NULL DEFAULT 0,
    at_risk_nanousd  bigint NOT NULL DEFAULT 0,
    advanced_nanousd bigint NOT NULL DEFAULT 0,
    charged_nanousd  bigint NOT NULL DEFAULT 0,
    refunded_nanousd bigint NOT NULL DEFAULT 0,
    over_reserve_nanousd bigint NOT NULL DEFAULT 0,
    advance_evidence text COLLATE "C",
    charge_evidence  text COLLATE "C",
    polls            bigint NOT NULL DEFAULT 0,
    due_at           bigint,
    posted_at        bigint NOT NULL,
    found_at         bigint NOT NULL,
    ended_at         bigint,
    FOREIGN KEY (task_id, attempt) REFERENCES attempts (task_id, number)
);
CREATE INDEX extra_charges_due ON extra_charges (due_at) WHERE state = 'posted';
CREATE INDEX extra_charges_by_task ON extra_charges (task_id);

-- Their replies to the byte, zlib-compressed.
CREATE TABLE extra_replies (
    remote_id text COLLATE "C" PRIMARY KEY REFERENCES extra_charges,
    task_id   bigint NOT NULL REFERENCES tasks,
    raw       bytea    NOT NULL
);
CREATE INDEX extra_replies_by_task ON extra_replies (task_id);

CREATE FUNCTION extra_charges_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run_money AS m
       SET reserved_nanousd = m.reserved_nanousd + d.reserved,
           at_risk_nanousd = m.at_risk_nanousd + d.at_risk,
           advanced_nanousd = m.advanced_nanousd + d.advanced,
           charged_nanousd = m.charged_nanousd + d.charged,
           refunded_nanousd = m.refunded_nanousd + d.refunded,
           over_reserve_nanousd = m.over_reserve_nanousd + d.over_reserve
      FROM (SELECT run_id,
                  sum(reserved_nanousd) AS reserved,
                  sum(at_risk_nanousd) AS at_risk,
                  sum(advanced_nanousd) AS advanced,
                  sum(charged_nanousd) AS charged,
                  sum(refunded_nanousd) AS refunded,
                  sum(over_reserve_nanousd) AS over_reserve
             FROM added GROUP BY run_id ORDER BY run_id) AS d
     WHERE m.run_id = d.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER extra_charges_added AFTER INSERT ON extra_charges
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION extra_charges_added();

CREATE FUNCTION extra_charges_booked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run_money AS m
       SET reserved_nanousd = m.reserved_nanousd + d.reserved,
           at_risk_nanousd = m.at_risk_nanousd + d.at_risk,
           advanced_nanousd = m.advanced_nanousd + d.advanced,
           charged_nanousd = m.charged_nanousd + d.charged,
           refunded_nanousd = m.refunded_nanousd + d.refunded,
           over_reserve_nanousd = m.over_reserve_nanousd + d.over_reserve
      FROM (SELECT run_id,
                  sum(reserved_nanousd) AS reserved,
                  sum(at_risk_nanousd) AS at_risk,
                  sum(advanced_nanousd) AS advanced,
                  sum(charged_nanousd) AS charged,
                  sum(refunded_nanousd) AS refunded,
                  sum(over_reserve_nanousd) AS over_reserve
             FROM (SELECT run_id, reserved_nanousd, at_risk_nanousd, advanced_nanousd, charged_nanousd,
                          refunded_nanousd, over_reserve_nanousd
                     FROM after
                    UNION ALL
                   SELECT run_id, -reserved_nanousd, -at_risk_nanousd, -advanced_nanousd, -charged_nanousd,
                          -refunded_nanousd, -over_reserve_nanousd
                     FROM before) AS both_sides
            GROUP BY run_id ORDER BY run_id) AS d
     WHERE m.run_id = d.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER extra_charges_booked AFTER UPDATE ON extra_charges
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION extra_charges_booked();

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
    id             bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    account_id     bigint NOT NULL REFERENCES accounts,
    from_api_at    bigint NOT NULL,
    to_api_at      bigint NOT NULL,
    whole          bigint NOT NULL,
    listed         bigint NOT NULL,
    compared       bigint NOT NULL,
    listed_nanousd bigint NOT NULL,
    booked_nanousd bigint NOT NULL,
    differing      bigint NOT NULL,
    missing        bigint NOT NULL,
    incidents      bigint NOT NULL,
    read_at        bigint NOT NULL
);
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
       split_part(g.endpoint, '/', 2) AS provider,
       coalesce(json_text(p.body, 'model_name'), a.model, g.model) AS model,
       t.sample AS sample,
       t.turn AS turn,
       t.state AS state,
       coalesce(nullif(t.reason, ''), CASE WHEN p.task_id IS NULL THEN 'pruned' END) AS reason,
       a.code AS error_code,
       a.message AS error_message,
       t.attempt AS attempts,
       json_text(p.body, 'user_prompt') AS prompt,
       s.answer AS answer,
       s.reasoning AS reasoning,
       s.model_name AS model_name,
       s.input_tokens AS input_tokens,
       s.output_tokens AS output_tokens,
       s.reasoning_tokens AS reasoning_tokens,
       s.web_search AS web_search,
       s.fan_out_queries AS fan_out_queries,
       CASE WHEN s.task_id IS NOT NULL THEN
           (SELECT '[' || coalesce(string_agg(coalesce(to_json(c.url)::text, 'null'), ','
                                              ORDER BY c.position), '') || ']'
              FROM citations c WHERE c.task_id = s.task_id AND c.attempt = s.attempt)
       END AS citation_urls,
       s.money_spent_nanousd AS money_spent_nanousd,
       (SELECT sum(e.charged_nanousd) FROM attempts e WHERE e.task_id = t.id)
           + (SELECT coalesce(sum(x.charged_nanousd), 0) FROM extra_charges x WHERE x.task_id = t.id)
           AS cost_nanousd,
       a.remote_id AS remote_id,
       a.tag AS tag,
       utc_text(a.accepted_at) AS posted_at,
       utc_text(s.answered_at) AS answered_at,
       utc_text(s.received_at) AS received_at
  FROM tasks t
  JOIN runs r ON r.id = t.run_id
  JOIN jobs j ON j.id = r.job_id
  JOIN targets g ON g.id = t.target_id
  LEFT JOIN payloads p ON p.task_id = t.id
  LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
  LEFT JOIN results s ON s.task_id = t.id AND s.attempt = t.attempt AND t.state = 'completed';
