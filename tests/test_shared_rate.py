"""The rule of the account's row, step by step; whole hosts are in ``test_slices.py``."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.pacing import Ask, SharedRate, Slice, grant
from runner.pacing.shared import AHEAD_US, BETWEEN_US, LATE_US, Use
from tests.support.server_minute import MINUTE, SECOND

NOW = 1_800_000_000 * SECOND
SPAN = 61 * SECOND + LATE_US

STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 2 * SECOND), st.integers(-20, 20).map(lambda s: s * SECOND)),
        st.sampled_from("abc"),
        st.integers(0, 60),
        st.booleans(),
    ),
    min_size=1,
    max_size=80,
)


def busy(host: str = "a", wanted: int = 100) -> Ask:
    return Ask(host=host, setting=600, wanted=wanted)


class Account:
    """The row, and the moments that were given out, by a clock that is never set back."""

    def __init__(self) -> None:
        self.row: SharedRate | None = None
        self.passed_us = 0
        self.store_us = NOW
        self.moments: list[int] = []

    def step(self, us: int) -> None:
        """Let *us* pass; a negative number sets the store's clock back, and no time passes."""
        self.passed_us += max(0, us)
        self.store_us += us

    def ask(self, ask: Ask) -> Slice:
        self.row, given = grant(self.row, ask, self.store_us)
        self.moments += [self.passed_us + us for us in given.moments_us]
        return given

    @property
    def there(self) -> SharedRate:
        assert self.row is not None
        return self.row

    def most(self) -> int:
        """The most calls whose moments lie within the span that the limit has to hold for."""
        at = sorted(self.moments)
        return max((sum(us <= other <= us + SPAN for other in at) for us in at), default=0)


@settings(max_examples=150)
@given(STEPS)
def test_no_span_holds_more_moments_than_the_limit_and_none_is_far_ahead(
    steps: list[tuple[int, str, int, bool]],
) -> None:
    """Whoever asks when, whatever was refused, and though the store's clock is set back."""
    account = Account()
    for us, host, wanted, refused in steps:
        account.step(us)
        given = account.ask(
            Ask(host=host, setting=40, wanted=wanted, refused_ago_us=0 if refused else None)
        )
        assert len(given.moments_us) <= wanted
        assert all(0 <= us <= AHEAD_US for us in given.moments_us)
        assert BETWEEN_US <= given.again_us <= AHEAD_US
        assert 1 <= given.per_minute <= 40
    assert account.most() <= 40
    # One after the other, whoever they were given to.
    assert account.moments == sorted(account.moments)


def test_a_new_row_gives_nothing_for_the_time_before_it() -> None:
    """What the API still remembers of whoever called before is not handed out again."""
    given = Account().ask(busy())
    assert given.moments_us[0] >= 100_000
    assert len(given.moments_us) == 9


def test_who_asks_too_early_gets_what_is_left_and_is_told_when_more_is_to_be_had() -> None:
    """The coming second is given out once."""
    account = Account()
    account.ask(busy("a"))
    given = account.ask(busy("b"))
    assert given.moments_us == ()
    account.step(given.again_us)
    # Half of a second's calls are b's own, now that a waits, too.
    assert len(account.ask(busy("b")).moments_us) == 5


def test_each_of_those_who_wait_gets_its_part_however_often_one_asks() -> None:
    """A host that asks five times a second is hardly better off than one that asks once."""
    account, got = Account(), {"eager": 0, "calm": 0}
    for tick in range(300):
        account.step(SECOND // 5)
        got["eager"] += len(account.ask(busy("eager")).moments_us)
        if tick % 5 == 0:
            got["calm"] += len(account.ask(busy("calm")).moments_us)
    assert sum(got.values()) >= 0.96 * 600
    assert abs(got["eager"] - got["calm"]) <= 30


def test_a_host_that_was_idle_has_saved_nothing_up() -> None:
    """Else who comes late in the night would have the account for itself until it had caught up."""
    account = Account()
    for _ in range(30):
        account.step(SECOND)
        account.ask(busy("old"))
    got = {"old": 0, "new": 0}
    for _ in range(20):
        account.step(SECOND // 2)
        for host in got:
            got[host] += len(account.ask(busy(host)).moments_us)
    assert abs(got["old"] - got["new"]) <= 12


def test_a_refusal_holds_until_the_next_minute_and_counts_once() -> None:
    """Of calls that were under way together, at whatever hosts, only the first halves the rate."""
    account = Account()
    account.step(20 * SECOND)
    account.ask(busy("a"))
    refused = account.ask(replace(busy("a"), refused_ago_us=0))
    assert refused.moments_us == ()
    assert account.there.held_until_us == NOW + MINUTE
    assert account.there.per_minute == 300
    account.step(SECOND)
    account.ask(replace(busy("b"), refused_ago_us=SECOND // 2))
    assert (account.there.held_until_us, account.there.per_minute) == (NOW + MINUTE, 300)
    account.step(39 * SECOND)
    assert account.ask(busy("b")).moments_us
    # A reply that took its time: its call left before the first refusal.
    account.ask(replace(busy("a"), refused_ago_us=41 * SECOND))
    assert account.there.held_until_us == NOW + MINUTE


def test_a_minute_that_is_nearly_over_is_no_reason_to_go_on_at_once() -> None:
    """The store's minute and the API's hardly begin together."""
    account = Account()
    account.step(59_900_000)
    account.ask(replace(busy(), refused_ago_us=0))
    assert account.there.held_until_us == NOW + 60_900_000


def test_a_store_whose_clock_was_set_back_an_hour_goes_on_at_once() -> None:
    """A new primary with another clock must not stop all hosts for an hour."""
    account = Account()
    for _ in range(100):
        account.step(SECOND)
        account.ask(busy())
    account.step(-3_600 * SECOND)
    assert account.ask(busy()).moments_us == ()
    account.step(SECOND)
    assert len(account.ask(busy()).moments_us) == 10
    assert account.most() <= 600


@pytest.mark.parametrize(("unused", "believed"), [(0, 0), (60, 30)])
def test_calls_that_never_left_do_not_hide_foreign_ones(unused: int, believed: int) -> None:
    """What was given out is only our own use if it was used."""
    account = Account()
    for _ in range(150):
        account.step(SECOND)
        account.ask(busy())
    held = sum(number for second, number in account.there.calls[-62:])
    use = Use(calls=held, left_ago_us=0, came_ago_us=0)
    account.ask(Ask(host="a", setting=600, stated=600, use=use, unused=unused))
    assert abs(account.there.lessons.foreign - believed) <= 12


def test_a_reply_that_counts_calls_from_before_the_row_teaches_nothing() -> None:
    """They may have been our own, under an older store."""
    account = Account()
    account.step(0)
    account.ask(busy())
    account.step(30 * SECOND)
    use = Use(calls=500, left_ago_us=0, came_ago_us=0)
    account.ask(replace(busy(), stated=600, use=use))
    assert account.there.lessons.foreign == 0
