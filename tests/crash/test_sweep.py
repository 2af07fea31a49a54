"""Death at every failpoint: F1 to F8 and F18, for each thing that can become of a post, on both
stores.

The simulated account says what was created and what is to be paid; the next start must bring
everything to its end without paying for any task again.
"""

from pathlib import Path
from typing import Final

import pytest

from runner.failpoints import Point
from tests.crash.live_deaths import LIVE
from tests.crash.sweep import Case, Fate, Means, Wrong, sweep

pytestmark = pytest.mark.timeout(300)

WORKER: Final = {
    Point.STORE_MIGRATING,
    Point.WORKER_BEFORE,
    Point.WORKER_INSIDE,
    Point.WORKER_BEGUN,
    Point.WORKER_ENDING,
    Point.ACCOUNT_INSIDE,
    Point.CALL_NOTED,
}
LOADING: Final = {
    Point.RUN_INSIDE,
    Point.LOAD_BEGUN,
    Point.ROWS_INSIDE,
    Point.ROWS_ADDED,
    Point.LOAD_INSIDE,
    Point.LOAD_ENDED,
}
EXPORTING: Final = {Point.EXPORT_WRITTEN, Point.EXPORT_NOTED, Point.EXPORT_RENAMED}
POSTING: Final = {
    Point.INTENT_BEFORE,
    Point.INTENT_INSIDE,
    Point.INTENT_DURABLE,
    Point.SEND_FIRST_BYTE,
    Point.SEND_LEAVING,
    Point.REPLY_BEGUN,
    Point.REPLY_CAME,
    Point.OUTCOME_INSIDE,
    Point.OUTCOME_DURABLE,
}
COLLECTING: Final = {
    Point.READY_INSIDE,
    Point.READY_MARKED,
    Point.CLAIM_INSIDE,
    Point.CLAIM_DURABLE,
    Point.ANSWER_CAME,
    Point.BOOK_BEFORE,
    Point.BOOK_INSIDE,
    Point.BOOK_DURABLE,
}
IN_DOUBT: Final = {Point.SCAN_NOTED, Point.TIMES_INSIDE, Point.TIMES_NOTED}
FOUND: Final = {Point.ADOPT_INSIDE, Point.ADOPTED}
NOT_FOUND: Final = {
    Point.CLEAN_SEEN,
    Point.ABSENT_BEFORE,
    Point.ABSENT_INSIDE,
    Point.ABSENT_PROVEN,
}
QUARANTINE: Final = {Point.QUARANTINE_INSIDE, Point.QUARANTINED}
BY_A_PERSON: Final = {
    Point.RETRY_INSIDE,
    Point.CANCEL_INSIDE,
    Point.PAUSE_INSIDE,
    Point.RESUME_INSIDE,
    Point.CHANGES_INSIDE,
}
"""In test_commands.py, as is ``QUARANTINE``."""


def cases(
    points: set[Point], fate: Fate, *, before: Point | None = None, held_back: bool = False
) -> list[Case]:
    return [Case(point, fate, before, held_back) for point in sorted(points)]


def told(wrong: list[Wrong]) -> str:
    return "\n\n".join(f"{case}, on {kept.value}: {said}" for case, kept, said in wrong)


def test_no_failpoint_is_left_out() -> None:
    """A point that nobody dies at proves nothing about its place."""
    groups = [WORKER, LOADING, EXPORTING, POSTING, COLLECTING]
    groups += [IN_DOUBT, FOUND, NOT_FOUND, QUARANTINE, BY_A_PERSON, LIVE]
    assert sorted(point for group in groups for point in group) == sorted(Point)


async def test_a_death_outside_of_calls_costs_nothing(tmp_path: Path, means: Means) -> None:
    """Migration, engine start, loading, export: what was whole before is whole after, and the
    post of the next life that loses its answer is still told from one that was never sent."""
    wrong = await sweep(tmp_path, cases(WORKER | LOADING | EXPORTING, Fate.ANSWER_LOST), means)
    assert not wrong, told(wrong)


@pytest.mark.parametrize("fate", Fate)
async def test_a_death_around_a_post_pays_nothing_twice_and_loses_nothing(
    tmp_path: Path, fate: Fate, means: Means
) -> None:
    """F2 to F6: whatever became of the first post, and wherever its sender died."""
    wrong = await sweep(tmp_path, cases(POSTING, fate), means)
    assert not wrong, told(wrong)


@pytest.mark.parametrize("fate", Fate)
async def test_a_death_around_an_answer_loses_no_answer(
    tmp_path: Path, fate: Fate, means: Means
) -> None:
    """F7: an answer that was read and not saved is read again, for nothing."""
    wrong = await sweep(tmp_path, cases(COLLECTING, fate), means)
    assert not wrong, told(wrong)


async def test_a_death_while_a_doubt_is_decided_leaves_it_to_be_decided(
    tmp_path: Path, means: Means
) -> None:
    """The reconciler may be killed, too: half a listing or half a verdict counts for nothing."""
    found = [
        *cases(IN_DOUBT | FOUND, Fate.TAKEN, before=Point.REPLY_CAME, held_back=True),
        *cases(IN_DOUBT | NOT_FOUND, Fate.NOT_TAKEN),
        *cases(IN_DOUBT | FOUND, Fate.ANSWER_LOST, held_back=True),
    ]
    wrong = await sweep(tmp_path, found, means)
    assert not wrong, told(wrong)
