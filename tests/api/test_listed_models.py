"""Which model of a list a name means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.models import listed_as, nearest_names, says_who_reasons
from runner.api.wire import Model

NAMES = [
    "gpt-4.1-2025-04-14",
    "gpt-4.1-mini-2025-04-14",
    "gpt-4o",
    "gpt-4o-2024-05-13",
    "gpt-4o-mini-2024-07-18",
    "gpt-3.5-turbo-1106",
    "o1-2024-12-17",
    "claude-opus-4-20250514",
    "claude-opus-4-1-20250805",
    "claude-3-7-sonnet-20250219",
    "gemini-1.5-pro-001",
    "gemini-1.5-pro-002",
    "sonar",
    "sonar-pro",
]


def model(name: str, *, reasoning: bool | None = None) -> Model:
    return Model(name=name, reasoning=reasoning, web_search=None, standard=None)


LISTED = [model(name) for name in NAMES]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-4.1", "gpt-4.1-2025-04-14"),
        ("gpt-4.1-2025-04-14", "gpt-4.1-2025-04-14"),
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-1106"),
        ("claude-opus-4-0", "claude-opus-4-20250514"),
        ("claude-opus-4-1", "claude-opus-4-1-20250805"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219"),
        ("gemini-1.5-pro", "gemini-1.5-pro-002"),
        ("sonar", "sonar"),
        ("gpt-4", None),
        ("gpt", None),
        ("gpt-4.1-2025-04-15", None),
        ("GPT-4o", None),
        ("", None),
    ],
)
def test_a_base_name_means_its_newest_dated_version_and_no_sibling(
    name: str, meant: str | None
) -> None:
    """gpt-4.1 must not pass for its mini, whose abilities and prices are others."""
    found = listed_as(name, LISTED)
    assert (found.name if found else None) == meant


def test_the_likest_names_come_first_whatever_their_case() -> None:
    """A misspelt model is mostly one letter away from the right one."""
    assert nearest_names("GPT-4O", LISTED)[0] == "gpt-4o"
    assert nearest_names("sonar-por", LISTED)[0] == "sonar-pro"
    assert nearest_names("zzzz", LISTED) == ()
    assert nearest_names("gpt-4", LISTED) == ("gpt-4o", "gpt-4.1", "gpt-4o-mini")


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        ([True, False], True),
        ([False, False], True),
        ([True], True),
        ([True, True], False),
        ([True, True, None], False),
        ([None, None], False),
        ([], False),
    ],
)
def test_a_list_that_calls_every_model_a_reasoning_one_is_not_believed(
    said: list[bool | None], believed: bool
) -> None:
    """Seen at the vendor's in July 2026: with it no ChatGPT model would get a temperature."""
    listed = [model(f"m{n}", reasoning=flag) for n, flag in enumerate(said)]
    assert says_who_reasons(listed) == believed


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=5))
def test_any_name_against_any_list_is_decided(name: str, names: list[str]) -> None:
    """Names come from files and from the network; a listed one is always found as itself."""
    listed = [model(each) for each in names]
    found = listed_as(name, listed)
    assert found is None or found.name in names
    if name in names:
        assert found is not None
        assert found.name == name
    assert all(listed_as(near, listed) for near in nearest_names(name, listed))
