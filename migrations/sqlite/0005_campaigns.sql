-- Follow-ups: tasks of a later turn, whose conversation begins with what an earlier one brought.
-- history is the JSON list of the messages that go before the follow-up's own prompt; NULL while
-- the first question has no answer. shortened counts those of them that were cut to fit the API.
-- The request in payloads never holds it, so an answer is no part of what tells an edit.
CREATE TABLE follow_ups (
    task_id   INTEGER PRIMARY KEY REFERENCES tasks,
    first_id  INTEGER NOT NULL REFERENCES tasks,
    history   TEXT,
    shortened INTEGER NOT NULL DEFAULT 0,
    stirred   INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX follow_ups_by_first ON follow_ups (first_id);
CREATE INDEX follow_ups_stirred ON follow_ups (task_id) WHERE stirred = 1;

-- Whatever verb ends a first question or takes it up again, its follow-ups are looked at before
-- that transaction is committed (runner/store/sqlite/follow_ups.py).
CREATE TRIGGER first_questions_moved AFTER UPDATE OF state ON tasks
WHEN OLD.state <> NEW.state
 AND (OLD.state IN ('completed', 'failed', 'expired', 'quarantined', 'cancelled')
      OR NEW.state IN ('completed', 'failed', 'expired', 'quarantined', 'cancelled'))
BEGIN
    UPDATE follow_ups SET stirred = 1 WHERE first_id = NEW.id;
END;

CREATE TRIGGER follow_ups_moved AFTER UPDATE OF state, due_at ON tasks
WHEN NEW.turn > 1 AND NEW.state = 'pending' AND (OLD.state <> 'pending' OR OLD.due_at IS NULL)
BEGIN
    UPDATE follow_ups SET stirred = 1 WHERE task_id = NEW.id;
END;
