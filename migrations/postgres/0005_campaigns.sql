-- Follow-ups: tasks of a later turn, whose conversation begins with what an earlier one brought.
-- history is the JSON list of the messages that go before the follow-up's own prompt; NULL while
-- the first question has no answer. shortened counts those of them that were cut to fit the API.
-- The request in payloads never holds it, so an answer is no part of what tells an edit.
CREATE TABLE follow_ups (
    task_id   bigint PRIMARY KEY REFERENCES tasks,
    first_id  bigint NOT NULL REFERENCES tasks,
    history   text COLLATE "C",
    shortened bigint NOT NULL DEFAULT 0,
    stirred   bigint NOT NULL DEFAULT 1
);
CREATE INDEX follow_ups_by_first ON follow_ups (first_id);
CREATE INDEX follow_ups_stirred ON follow_ups (task_id) WHERE stirred = 1;

-- Whatever verb ends a first question or takes it up again, its follow-ups are looked at before
-- that transaction is committed (runner/store/postgres/follow_ups.py).
CREATE FUNCTION follow_ups_stirred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE follow_ups AS f SET stirred = 1
      FROM after n JOIN before o ON o.id = n.id
     WHERE f.first_id = n.id AND o.state <> n.state
       AND (o.state IN ('completed', 'failed', 'expired', 'quarantined', 'cancelled')
            OR n.state IN ('completed', 'failed', 'expired', 'quarantined', 'cancelled'));
    UPDATE follow_ups AS f SET stirred = 1
      FROM after n JOIN before o ON o.id = n.id
     WHERE f.task_id = n.id AND n.turn > 1 AND n.state = 'pending'
       AND (o.state <> 'pending' OR o.due_at IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER follow_ups_stirred AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION follow_ups_stirred();
