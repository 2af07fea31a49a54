-- Tasks that a person dropped while they were out: what the API has of them is collected, and they are
-- not posted anew. stirred: such a task came back to be posted, and is cancelled before that
-- transaction is committed (runner/store/postgres/controlling.py), whatever verb it was.
CREATE TABLE dropped (
    task_id bigint PRIMARY KEY REFERENCES tasks,
    stirred bigint NOT NULL DEFAULT 0
);
CREATE INDEX dropped_stirred ON dropped (task_id) WHERE stirred = 1;

-- Only a person brings a task back that has ended or is quarantined: that word is the newer one.
CREATE FUNCTION dropped_tasks_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM after WHERE state = 'pending') THEN
        RETURN NULL;
    END IF;
    UPDATE dropped AS d SET stirred = 1
      FROM after n JOIN before o ON o.id = n.id
     WHERE d.task_id = n.id AND n.state = 'pending' AND o.state IN ('posting', 'unknown', 'posted');
    DELETE FROM dropped AS d USING after n JOIN before o ON o.id = n.id
     WHERE d.task_id = n.id AND n.state = 'pending'
       AND o.state NOT IN ('pending', 'posting', 'unknown', 'posted');
    RETURN NULL;
END $$;
CREATE TRIGGER dropped_tasks_moved AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION dropped_tasks_moved();
