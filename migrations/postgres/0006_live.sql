-- Whether a Live answer that was lost on its way is asked, and paid, again by itself: the job's
-- [retry] live_resend, kept with the run.
ALTER TABLE runs ADD COLUMN live_resend bigint NOT NULL DEFAULT 0;

DROP VIEW results_v1;
-- The documented view: one line per task, stable names, the same words as exports and --json.
-- The answer is that of a completed task's last attempt; cost_nanousd is what all its attempts cost,
-- and what was paid for it beside them; cost_evidence is "computed" if any of it is, else "reported".
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
       (SELECT min(e.charge_evidence) FROM attempts e WHERE e.task_id = t.id) AS cost_evidence,
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
