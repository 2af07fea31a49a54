"""Numbers and tables."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.layout import amount, count, day, either, pairs, span, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (2352, "39 min 12 s"),
        (3600, "1 h"),
        (83_100, "23 h 5 min"),
        (266_400, "3 d 2 h"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, text: str) -> None:
    """Nobody reads 2352 s."""
    assert span(seconds) == text


@given(st.integers(-(10**15), 10**15))
def test_money_for_programs_is_exact(nanousd: int) -> None:
    """What is summed by a script must equal the invoice."""
    text = amount(nanousd)
    assert Decimal(text).scaleb(9) == nanousd
    assert len(text.partition(".")[2]) >= 2


def test_the_day_is_named_from_where_one_stands() -> None:
    """In UTC, as all times here."""
    now = datetime(2026, 11, 21, 0, 5, tzinfo=UTC)
    assert day(now, now) == "today 00:05"
    assert day(datetime(2026, 11, 20, 23, 59, tzinfo=UTC), now) == "yesterday 23:59"
    assert day(datetime(2026, 10, 1, 2, 15, tzinfo=UTC), now) == "2026-10-01 02:15"


def test_one_is_not_many() -> None:
    assert (count(1, "task"), count(2370, "task")) == ("1 task", "2,370 tasks")
    assert [either(n, "waits", "wait") for n in (0, 1, 2)] == ["wait", "waits", "wait"]


@given(st.text(max_size=20))
def test_a_line_for_programs_is_one_line(text: str) -> None:
    """Whatever a job or a message is called."""
    line = pairs("status", {"run": text, "done": 3})
    assert line.startswith("status run=")
    assert line.endswith(" done=3")
    assert "\n" not in line


def test_columns_line_up_with_wide_characters_too() -> None:
    """A Japanese job name takes two places for each sign."""
    lines = table(
        ["JOB", "DONE"], [["東京", "1"], ["x\n", "20"]], right=frozenset({1})
    ).splitlines()
    assert lines == ["JOB   DONE", "東京     1", "x\\n     20"]


def test_a_table_is_cut_to_the_screen_at_its_widest_texts_never_at_its_numbers() -> None:
    """Broken in the middle of a word by the terminal, no column lines up any more."""
    head, right = ["JOB", "RUN", "COST", "STATE"], frozenset({2})
    row = ["a-job-with-a-very-long-name", "2026-11-21", "$1,234.56", "waiting, oldest 23 h of 72 h"]
    cut = table(head, [row], right=right, width=60).splitlines()
    assert cut == [
        "JOB                RUN              COST  STATE",
        "a-job-with-a-ver…  2026-11-21  $1,234.56  waiting, oldest 2…",
    ]
    assert max(map(len, cut)) <= 60
    assert table(head, [row], right=right, width=500) == table(head, [row], right=right)
    narrow = table(head, [row], right=right, width=20).splitlines()
    assert narrow[1] == "a-job-w…  2026-11…  $1,234.56  waiting…"
