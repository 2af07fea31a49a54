-- What of a run an export would show, as far as counts and sums tell: another mark, another export.
CREATE VIEW export_marks AS
SELECT r.id AS run_id,
       coalesce((SELECT string_agg(state || '(' || reason || ') ' || n, ', ' ORDER BY state, reason)
                   FROM (SELECT state, reason, sum(s.n) AS n FROM run_states s
                          WHERE s.run_id = r.id GROUP BY state, reason HAVING sum(s.n) > 0) AS c), '')
       || '; advanced ' || m.advanced_nanousd || ', charged ' || m.charged_nanousd
       || '; load ' || coalesce((SELECT max(l.id) FROM loads l
                                  WHERE l.run_id = r.id AND l.finished_at IS NOT NULL), 0) AS mark
  FROM runs r
  JOIN run_money m ON m.run_id = r.id;

-- The mark of each run when its files in a folder were last begun by a start of its job; '' before the
-- first of them is written. Runs from before this table count as written wherever their files are.
CREATE TABLE exports (
    run_id bigint NOT NULL REFERENCES runs,
    folder text COLLATE "C" NOT NULL,
    mark   text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, folder)
);
INSERT INTO exports (run_id, folder, mark) SELECT run_id, '', mark FROM export_marks;
