-- When answers come, for each endpoint and model: a JSON array of some dozens of weights, by age.
-- first_ask_ms is what the curve says about the first ask by id; NULL while it says nothing.
CREATE TABLE completion_curves (
    endpoint     TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    weights      TEXT    NOT NULL,
    first_ask_ms INTEGER,
    kept_at      INTEGER NOT NULL,
    PRIMARY KEY (endpoint, model)
) STRICT, WITHOUT ROWID;
