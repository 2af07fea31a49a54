"""`--since` and `--until`: a while ago, a day, a moment."""

from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.moments import Moment, When
from tests.support.clock import START


def when(text: str) -> When:
    return Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("24h", START - timedelta(hours=24), START - timedelta(hours=24)),
        ("1h30m", START - timedelta(minutes=90), START - timedelta(minutes=90)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        (
            "2026-11-20T02:15",
            datetime(2026, 11, 20, 2, 15, tzinfo=UTC),
            datetime(2026, 11, 20, 2, 15, tzinfo=UTC),
        ),
        (
            "2026-11-20T02:15:00+02:00",
            datetime(2026, 11, 20, 0, 15, tzinfo=UTC),
            datetime(2026, 11, 20, 0, 15, tzinfo=UTC),
        ),
        (
            "2026-11-20T00:15:00Z",
            datetime(2026, 11, 20, 0, 15, tzinfo=UTC),
            datetime(2026, 11, 20, 0, 15, tzinfo=UTC),
        ),
    ],
)
def test_a_moment_is_read_as_people_mean_it(text: str, since: datetime, until: datetime) -> None:
    """`--since 2026-11-20 --until 2026-11-20` is that day, not nothing; all in UTC."""
    assert when(text).since(START) == since
    assert when(text).until(START) == until


@pytest.mark.parametrize(
    "text", ["", "24", "yesterday", "20.11.2026", "2026-13-01", "-1h", "24 h", "9999-12-31"]
)
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    """A guess would list other tasks than those meant."""
    with pytest.raises(click.BadParameter, match="write 24h or 7d"):
        when(text)


@given(st.text(alphabet="0123456789-T:+Zhdms. ", max_size=30))
def test_no_text_leads_to_a_time_that_cannot_be_reckoned_with(text: str) -> None:
    """An error of ours for a typo of theirs."""
    try:
        moment = when(text)
    except click.BadParameter:
        return
    assert moment.since(START) <= moment.until(START)
    assert moment.since(START).tzinfo is not None
