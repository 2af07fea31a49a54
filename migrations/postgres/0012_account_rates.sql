-- One limit for all hosts: how many calls of an account are given out, and for when. A host takes a
-- slice of the coming second; the rule is runner/pacing/shared.py. SQLite has no such table: there
-- one process calls an account. The few calls a minute of single kinds are in the table calls.
--
-- Moments are microseconds since 1970 on the server's clock; rates are calls a minute.
CREATE TABLE account_rates (
    account_id    bigint PRIMARY KEY REFERENCES accounts,
    since_us      bigint NOT NULL,
    at_us         bigint NOT NULL DEFAULT 0,
    -- What may be used now, and the limit that it was lowered from.
    per_minute    bigint NOT NULL DEFAULT 1,
    ceiling       bigint NOT NULL DEFAULT 1,
    -- The bucket, at most a second ahead of the clock.
    credit        bigint NOT NULL DEFAULT 0,
    credit_at_us  bigint NOT NULL DEFAULT 0,
    -- What replies have taught: the limit that they stated, millionths of the ceiling that 40202 has
    -- left, calls a minute of other programs.
    stated        bigint,
    share         bigint NOT NULL DEFAULT 0,
    share_at_us   bigint NOT NULL DEFAULT 0,
    foreign_calls bigint NOT NULL DEFAULT 0,
    foreign_at_us bigint NOT NULL DEFAULT 0,
    -- Nothing leaves before it: the API refused a call for the rate.
    held_until_us bigint NOT NULL DEFAULT 0,
    slowed_at_us  bigint,
    granted       bigint NOT NULL DEFAULT 0,
    -- Calls of each of the last seconds, from the second calls_from on.
    calls_from    bigint NOT NULL DEFAULT 0,
    calls         integer[] NOT NULL DEFAULT '{}',
    -- Who has asked lately: when, its setting, how many of its callers wait, how much it got.
    hosts         jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
