-- When answers come, for each endpoint and model: a JSON array of some dozens of weights, by age.
-- first_ask_ms is what the curve says about the first ask by id; NULL while it says nothing.
CREATE TABLE completion_curves (
    endpoint     text COLLATE "C"    NOT NULL,
    model        text COLLATE "C"    NOT NULL,
    weights      text COLLATE "C"    NOT NULL,
    first_ask_ms bigint,
    kept_at      bigint NOT NULL,
    PRIMARY KEY (endpoint, model)
);
