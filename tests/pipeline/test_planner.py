"""What is known about when answers come, and the calls that follow; no I/O."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.curve import AGES_S, Curve
from runner.pipeline.planner import (
    FULL,
    LATELY_S,
    PROBE_S,
    SAMPLE,
    SPARE,
    WASTE,
    Lists,
    Planner,
    Trust,
    next_ask,
)
from runner.store.planning import Kind
from runner.task import Provider
from runner.windows import CHECKPOINTS, LATE_INTERVAL, next_poll
from tests.support.clock import START

KIND = Kind("dataforseo/claude/standard", "claude-sonnet-4-0")
CURVES = st.lists(st.integers(0, 50), min_size=len(AGES_S), max_size=len(AGES_S)).map(Curve.of)
AGES = st.floats(0, 29 * 86_400).map(lambda s: timedelta(seconds=s))
INTERVALS = st.floats(60, 6 * 3_600).map(lambda s: timedelta(seconds=s))


@given(curve=CURVES, age=AGES, interval=INTERVALS, trusted=st.booleans())
def test_no_curve_puts_an_ask_off_past_the_next_checkpoint(
    curve: Curve, age: timedelta, interval: timedelta, trusted: bool
) -> None:
    """What was learned may be wrong today; age stays what guarantees the answer."""
    now = START + age
    ask_at = next_ask(
        posted_at=START, now=now, interval=interval, list_trusted=trusted, curve=curve
    )
    ahead = [checkpoint for checkpoint in CHECKPOINTS if checkpoint > age]
    assert now < ask_at
    assert ask_at <= (START + ahead[0] if ahead and curve.known else now + LATE_INTERVAL) or (
        trusted and ahead and ask_at == START + ahead[0]
    )


@given(age=AGES, interval=INTERVALS, trusted=st.booleans())
def test_where_nothing_is_known_the_schedule_is_the_plain_one(
    age: timedelta, interval: timedelta, trusted: bool
) -> None:
    """The first night of a model must not be worse for all that is learned later."""
    now = START + age
    plain = next_poll(posted_at=START, now=now, interval=interval, list_trusted=trusted)
    assert plain == next_ask(
        posted_at=START, now=now, interval=interval, list_trusted=trusted, curve=Curve()
    )


@given(st.lists(st.booleans(), max_size=300))
def test_guesses_in_vain_never_cost_more_than_their_share(outcomes: list[bool]) -> None:
    """Calls are for answers: however wrong a curve is, its guesses waste a few in a hundred."""
    planner, vain, answers = Planner(), 0, 0
    for hit in outcomes:
        if not planner.spare:
            planner.note_answer(KIND, None)
            answers += 1
        elif hit:
            planner.note_answer(KIND, timedelta(seconds=5))
            answers += 1
        else:
            planner.note_vain(KIND, 0.0)
            vain += 1
    assert vain <= SPARE + WASTE * answers


def test_an_empty_list_is_believed_after_a_sample_was_asked_for_in_vain() -> None:
    """Twenty thousand tasks that run for an hour must not all be asked for after a minute."""
    trust = Trust()
    for _ in range(SAMPLE):
        trust.note_vain(0)
    assert not trust.holds(0), "no list has answered"
    trust.note(Provider.CLAUDE, good=True, ours=0, now_s=0)
    assert trust.asks_by_age(40, 0) == SAMPLE
    for number in range(SAMPLE):
        assert not trust.holds(number)
        trust.note_vain(number)
    assert trust.holds(SAMPLE)


def test_one_answer_that_the_list_should_have_shown_ends_the_trust() -> None:
    """A list that never shows our tasks would keep every answer lying for six hours."""
    trust = Trust()
    trust.note(Provider.CLAUDE, good=True, ours=3, now_s=0)
    assert trust.holds(1)
    trust.note_missed()
    assert not trust.holds(1)


def test_trust_that_nothing_speaks_for_is_probed_and_then_ends() -> None:
    """One call every five minutes, instead of one for each task a quarter of an hour later."""
    trust = Trust()
    trust.note(Provider.CLAUDE, good=True, ours=1, now_s=0)
    assert not trust.wants_probe(PROBE_S - 1)
    assert trust.wants_probe(PROBE_S)
    trust.note_vain(PROBE_S)
    assert not trust.wants_probe(PROBE_S + 1)
    assert trust.holds(PROBE_S + LATELY_S)
    assert not trust.holds(PROBE_S + LATELY_S + 1)


def test_a_list_is_not_asked_while_what_it_showed_is_still_to_be_fetched() -> None:
    """Another call of it would show the same ids: one result more could have been fetched."""
    lists = Lists()
    assert lists.next([Provider.CLAUDE], 0) == (Provider.CLAUDE, 0)
    lists.note(Provider.CLAUDE, ids=FULL, found=FULL, at_s=0, now=START)
    coming = lists.next([Provider.CLAUDE], 10, backlog_s=30)
    assert coming is not None
    assert coming[1] > 0
    assert lists.next([Provider.CLAUDE], 10, backlog_s=1) == (Provider.CLAUDE, 0)
    assert lists.next([], 10) is None


@given(st.lists(st.tuples(st.sampled_from(list(Provider)), st.booleans()), max_size=60))
def test_the_lists_together_stay_within_their_nineteen_calls_a_minute(
    outcomes: list[tuple[Provider, bool]],
) -> None:
    """Twenty calls a minute are for all providers together (API.md §3)."""
    lists, now_s, calls = Lists(), 0.0, []
    for _, found in outcomes:
        coming = lists.next(list(Provider), now_s)
        assert coming is not None
        provider, wait_s = coming
        now_s += wait_s
        lists.note(provider, ids=int(found), found=int(found), at_s=now_s, now=START)
        calls.append(now_s)
    late = calls[9:]
    assert all(b - a >= 3.2 for a, b in pairwise(late))


def test_a_provider_whose_list_shows_nothing_does_not_keep_the_others_waiting() -> None:
    """Lists take turns by when they pay, and none is left out."""
    lists = Lists()
    seen = set()
    now_s = 0.0
    for _ in range(12):
        coming = lists.next([Provider.CLAUDE, Provider.GEMINI], now_s)
        assert coming is not None
        provider, wait_s = coming
        now_s += wait_s
        seen.add(provider)
        ours = provider is Provider.CLAUDE
        lists.note(provider, ids=ours * 5, found=ours * 5, at_s=now_s, now=START)
    assert seen == {Provider.CLAUDE, Provider.GEMINI}


def test_guesses_are_made_only_where_a_full_list_hides_what_may_be_done() -> None:
    """A list with room shows all there is; a guess beside it is a call in vain."""
    planner = Planner()
    for _ in range(100):
        planner.note_answer(KIND, timedelta(seconds=5))
    assert planner.likely_done(START) == {}
    planner.lists.note(Provider.CLAUDE, ids=FULL, found=FULL, at_s=0, now=START)
    (posted_by,) = planner.likely_done(START).values()
    assert timedelta(seconds=5) <= START - posted_by <= timedelta(seconds=10)
