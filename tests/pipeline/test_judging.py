"""When a doubtful post counts as never taken: the table of evidence, and what holds for all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.pipeline.judging import GIVE_UP_S, THIN, Sight, Verdict, Waits, judge, sound

SETTLE_S = 900.0
PATIENCE_S = 75.0

BLANK = Sight(
    known=False,
    after=False,
    later=False,
    near_expected=False,
    after_expected=False,
    later_expected=False,
    described=True,
    nameless=False,
)
GOOD = replace(
    BLANK,
    known=True,
    after=True,
    later=True,
    near_expected=True,
    after_expected=True,
    later_expected=True,
)


def waits(over_s: float, since_clean_s: float | None = None) -> Waits:
    return Waits(
        waited_s=PATIENCE_S + over_s,
        patience_s=PATIENCE_S,
        settle_s=SETTLE_S,
        since_clean_s=since_clean_s,
    )


@pytest.mark.parametrize(
    ("sight", "over_s", "expected"),
    [
        pytest.param(GOOD, SETTLE_S, True, id="it shows what it has to"),
        pytest.param(GOOD, SETTLE_S - 1, False, id="too early"),
        pytest.param(replace(GOOD, nameless=True), 1e9, False, id="a row may be ours"),
        pytest.param(replace(GOOD, later=False), 1e9, False, id="later tasks are missing: it lags"),
        pytest.param(replace(GOOD, known=False, later=False), 1e9, False, id="no tags are shown"),
        pytest.param(BLANK, SETTLE_S, False, id="nothing to check it by, too early"),
        pytest.param(BLANK, THIN * SETTLE_S, True, id="nothing to check it by, late"),
        pytest.param(replace(BLANK, described=False), 1e9, False, id="a row without its post"),
        pytest.param(replace(BLANK, near_expected=True), 1e9, False, id="known tasks are missing"),
        pytest.param(
            replace(BLANK, near_expected=True, known=True), THIN * SETTLE_S, True, id="near, late"
        ),
        pytest.param(
            replace(BLANK, near_expected=True, known=True), SETTLE_S, False, id="near, early"
        ),
        pytest.param(
            replace(BLANK, after_expected=True, known=True),
            1e9,
            False,
            id="known ones from before, and those from after it are missing: it lags",
        ),
        pytest.param(
            replace(BLANK, after_expected=True, known=True, after=True),
            THIN * SETTLE_S,
            True,
            id="shortly after, late",
        ),
    ],
)
def test_what_makes_a_listing_count(sight: Sight, over_s: float, expected: bool) -> None:
    """Each line is a way in which silence may mean something else than absence."""
    assert sound(sight, waits(over_s)) is expected


def test_one_clean_listing_proves_nothing_and_two_do_if_they_are_apart() -> None:
    """One page may come from a copy that lags for a moment."""
    assert judge(GOOD, waits(SETTLE_S)) is Verdict.CLEAN
    assert judge(GOOD, waits(SETTLE_S, since_clean_s=SETTLE_S / 3 - 1)) is Verdict.WAIT
    assert judge(GOOD, waits(SETTLE_S, since_clean_s=SETTLE_S / 3)) is Verdict.ABSENT


def test_72_hours_without_proof_end_in_quarantine_and_not_before() -> None:
    """Every task that was taken has ended by then; waiting longer brings nothing."""
    assert judge(None, waits(GIVE_UP_S - 1)) is Verdict.WAIT
    assert judge(None, waits(GIVE_UP_S)) is Verdict.QUARANTINE
    assert judge(replace(GOOD, nameless=True), waits(GIVE_UP_S)) is Verdict.QUARANTINE


sights = st.builds(
    Sight,
    known=st.booleans(),
    after=st.booleans(),
    later=st.booleans(),
    near_expected=st.booleans(),
    after_expected=st.booleans(),
    later_expected=st.booleans(),
    described=st.booleans(),
    nameless=st.booleans(),
)
seconds = st.floats(min_value=0, max_value=2 * GIVE_UP_S)


@given(st.none() | sights, seconds, st.none() | seconds)
def test_absence_is_never_concluded_without_its_evidence(
    sight: Sight | None, waited_s: float, since_clean_s: float | None
) -> None:
    """The one verdict that lets money be spent again."""
    facts = Waits(
        waited_s=waited_s, patience_s=PATIENCE_S, settle_s=SETTLE_S, since_clean_s=since_clean_s
    )
    if judge(sight, facts) is Verdict.ABSENT:
        assert sight is not None
        assert waited_s >= PATIENCE_S + SETTLE_S
        assert since_clean_s is not None
        assert since_clean_s >= SETTLE_S / 3
        assert not sight.nameless
        assert sight.later or not sight.later_expected
        assert sight.after or sight.later or not sight.after_expected
        assert sight.known or not sight.near_expected


@given(st.none() | sights, seconds)
def test_a_doubt_always_ends(sight: Sight | None, waited_s: float) -> None:
    """Past 72 hours there is always a verdict, so no task waits for ever."""
    facts = Waits(
        waited_s=GIVE_UP_S + PATIENCE_S + waited_s,
        patience_s=PATIENCE_S,
        settle_s=SETTLE_S,
        since_clean_s=SETTLE_S,
    )
    assert judge(sight, facts) in {Verdict.ABSENT, Verdict.QUARANTINE}
