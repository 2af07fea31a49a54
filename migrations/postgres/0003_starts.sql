-- Deaths of the process in a row at which a task was being posted, or asked for, and nothing was
-- saved about it. Only tasks that were: the table is mostly empty.
CREATE TABLE deaths (
    task_id bigint PRIMARY KEY REFERENCES tasks,
    posting bigint NOT NULL DEFAULT 0,
    asking  bigint NOT NULL DEFAULT 0
);

-- When this worker first booked what asking for a task came to; NULL: never.
ALTER TABLE workers ADD COLUMN booked_at bigint;
