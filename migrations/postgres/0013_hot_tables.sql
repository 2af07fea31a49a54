-- Tables that every step rewrites: what was measured to matter (docs/scaling.md). No update of a task
-- or an attempt can be HOT: each moves the row within or between the partial indexes that keep a claim
-- from ever meeting a finished task.

-- 2 % instead of the server's 20 %, as tasks have it: an attempt is rewritten twice in its life, and
-- in a store of a million 200,000 dead rows would stand before each vacuum.
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- By the statement, as the other sums are: by the row, each answer left a dead version of its line.
DROP TRIGGER attempts_answered ON attempts;
CREATE OR REPLACE FUNCTION attempts_answered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM after WHERE state = 'completed') THEN
        RETURN NULL;
    END IF;
    INSERT INTO price_history (endpoint, model, asks, answers)
    SELECT g.endpoint, n.model, g.asks, count(*)
      FROM after n
      JOIN before o ON o.task_id = n.task_id AND o.number = n.number AND o.state <> 'completed'
      JOIN tasks t ON t.id = n.task_id
      JOIN targets g ON g.id = t.target_id
     WHERE n.state = 'completed'
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (endpoint, model, asks)
        DO UPDATE SET answers = price_history.answers + excluded.answers;
    INSERT INTO price_samples (history_id, slot, charged_nanousd)
    SELECT history, (answers - back) % 1000, charged
      FROM (SELECT h.id AS history, h.answers AS answers, n.charged_nanousd AS charged,
                   row_number() OVER (PARTITION BY h.id ORDER BY n.ended_at DESC, n.task_id DESC)
                       AS back
              FROM after n
              JOIN before o ON o.task_id = n.task_id AND o.number = n.number
                           AND o.state <> 'completed'
              JOIN tasks t ON t.id = n.task_id
              JOIN targets g ON g.id = t.target_id
              JOIN price_history h
                ON h.endpoint = g.endpoint AND h.model = n.model AND h.asks = g.asks
             WHERE n.state = 'completed') AS known
     WHERE back <= 1000
        ON CONFLICT (history_id, slot) DO UPDATE SET charged_nanousd = excluded.charged_nanousd;
    RETURN NULL;
END $$;
CREATE TRIGGER attempts_answered AFTER UPDATE ON attempts
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION attempts_answered();
