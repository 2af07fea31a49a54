"""Which run people mean."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.cli.select import matching, newest
from runner.errors import WrongInput
from runner.store.values import Run
from tests.cli.calling import RUN, later


def run(id: int, job: str, key: str = "", fresh: int = 0) -> Run:
    return replace(RUN, id=id, job=job, key=key, fresh=fresh, created_at=later(hours=id))


RUNS = [
    run(1, "watch", "2026-11-20"),
    run(2, "watch", "2026-11-21"),
    run(3, "prices"),
    run(4, "watch", "2026-11-21", fresh=1),
    run(5, "prices", fresh=1),
    run(6, "r3"),
]


@pytest.mark.parametrize(
    ("reference", "ids"),
    [
        (None, [1, 2, 3, 4, 5, 6]),
        ("watch", [1, 2, 4]),
        ("watch@2026-11-20", [1]),
        ("watch@2026-11-21", [4]),
        ("watch@2026-11-21~1", [4]),
        ("prices", [3, 5]),
        ("prices~1", [5]),
        ("r1", [1]),
        ("r3", [3]),
    ],
)
def test_a_reference_means(reference: str | None, ids: list[int]) -> None:
    """A name that every command understands in the same way."""
    assert [found.id for found in matching(reference, RUNS)] == ids


def test_every_run_is_found_by_the_names_that_we_print_for_it() -> None:
    """What `status` shows must be good for pasting; a later fresh run hides no number."""
    for each in RUNS:
        assert newest(each.number, RUNS) == each
        if each.fresh:
            assert newest(each.name, RUNS) == each


def test_where_several_would_do_the_newest_is_taken() -> None:
    """`runner export watch` in the morning means tonight's."""
    assert newest("watch", RUNS).id == 4
    assert newest(None, RUNS).id == 6


def test_a_job_file_or_data_file_stands_for_its_job(tmp_path: Path) -> None:
    """People complete paths with the tab key."""
    (tmp_path / "x.toml").write_text('name = "prices"\nthis is = broken\n', "utf-8")
    (tmp_path / "y.toml").write_text('name = "prices"\nbroken_setting = 1\n', "utf-8")
    assert [r.id for r in matching(str(tmp_path / "y.toml"), RUNS)] == [3, 5]
    assert [r.id for r in matching("data/watch.csv", RUNS)] == [1, 2, 4]
    with pytest.raises(WrongInput):
        matching(str(tmp_path / "x.toml"), RUNS)


@pytest.mark.parametrize("reference", ["wacht", "watch@2026-11-22", "r99", "", "@", "~", "watch~7"])
def test_what_means_no_run_is_refused(reference: str) -> None:
    """The wrong run exported is worse than none."""
    with pytest.raises(WrongInput, match="there is no run or job"):
        matching(reference, RUNS)


def test_a_near_miss_is_answered_with_what_was_meant() -> None:
    """UX.md §2.1."""
    with pytest.raises(WrongInput, match="did you mean watch"):
        matching("wacht", RUNS)


def test_an_empty_store_is_told_apart_from_a_wrong_name() -> None:
    """On the first day there is nothing to choose from."""
    with pytest.raises(WrongInput, match="nothing was run"):
        newest(None, [])
