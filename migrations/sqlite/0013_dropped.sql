-- Tasks that a person dropped while they were out: what the API has of them is collected, and they are
-- not posted anew. stirred: such a task came back to be posted, and is cancelled before that
-- transaction is committed (runner/store/sqlite/controlling.py), whatever verb it was.
CREATE TABLE dropped (
    task_id INTEGER PRIMARY KEY REFERENCES tasks,
    stirred INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX dropped_stirred ON dropped (task_id) WHERE stirred = 1;

-- Only a person brings a task back that has ended or is quarantined: that word is the newer one.
CREATE TRIGGER dropped_tasks_moved AFTER UPDATE OF state ON tasks
WHEN NEW.state = 'pending' AND OLD.state <> 'pending'
BEGIN
    UPDATE dropped SET stirred = 1
     WHERE task_id = NEW.id AND OLD.state IN ('posting', 'unknown', 'posted');
    DELETE FROM dropped
     WHERE task_id = NEW.id AND OLD.state NOT IN ('posting', 'unknown', 'posted');
END;
