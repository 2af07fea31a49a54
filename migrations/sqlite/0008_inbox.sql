-- Answers that the API delivers by itself. Kept as they came, before they are acknowledged; the
-- engine reads them later and deletes each line in the transaction that books it.

-- body is the delivered reply, mostly gzip; empty for a mere word that the task is done (pingback).
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY,
    remote_id   TEXT    NOT NULL,
    tag         TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL,
    body        BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    UNIQUE (remote_id, tag, body_sha256)
) STRICT;

-- How its newest attempt is delivered: 0 it is asked for, 1 posted with a postback, 2 the API was
-- asked once to send that again.
ALTER TABLE tasks ADD COLUMN postback INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_undelivered ON tasks (due_at) WHERE state = 'posted' AND ready = 1 AND postback = 1;
