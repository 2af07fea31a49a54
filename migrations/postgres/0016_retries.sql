-- Tasks that the API has reported a failure of and that wait for their next try: an earlier run's are
-- posted by a later start of its job, and must be found among those that were never asked.
CREATE INDEX tasks_to_retry ON tasks (run_id, target_id, due_at, id)
    WHERE state = 'pending' AND changed = 0 AND tries > 0;
