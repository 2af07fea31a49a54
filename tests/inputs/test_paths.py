"""Dotted paths into rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.paths import Miss, MissKind, get_path

CELLS: dict[str, object] = {
    "turns": ["first", "second"],
    "meta": {"brand": {"name": "Acme"}, "empty": None},
    "a.b": "literal",
    "a": {"b": "nested", "c": 1},
    "x.y": {"z": "two and one"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("turns.0", "first"),
        ("turns.1", "second"),
        ("meta.brand.name", "Acme"),
        ("meta.empty", None),
        ("meta.brand", {"name": "Acme"}),
        ("a.c", 1),
    ],
)
def test_a_dotted_path_leads_into_objects_and_lists(path: str, value: object) -> None:
    """Real prompt sets keep their prompts in ``turns.0``."""
    assert get_path(CELLS, path) == value


def test_a_key_that_holds_the_dots_itself_wins() -> None:
    """CSV headers such as ``v1.0`` must stay reachable, whatever else is there."""
    assert get_path(CELLS, "a.b") == "literal"
    assert get_path(CELLS, "x.y.z") == "two and one"


@pytest.mark.parametrize(
    ("path", "miss", "words"),
    [
        ("prompt", Miss(MissKind.NO_KEY, "", "prompt"), 'the row has no "prompt"'),
        ("meta.colour", Miss(MissKind.NO_KEY, "meta", "colour"), '"meta" has no "colour"'),
        (
            "turns.2",
            Miss(MissKind.OUT_OF_RANGE, "turns", "2", 2),
            '"turns" has 2 items, so there is no item 2 (the first is 0)',
        ),
        (
            "turns.last",
            Miss(MissKind.NOT_AN_INDEX, "turns", "last"),
            '"turns" is a list: "last" must be a number (the first item is 0)',
        ),
        (
            "turns.0.text",
            Miss(MissKind.NOT_A_CONTAINER, "turns.0", "text"),
            '"turns.0" is neither object nor list, so it has no "text"',
        ),
        ("turns.-1", Miss(MissKind.NOT_AN_INDEX, "turns", "-1"), None),
        ("turns." + "9" * 5000, Miss(MissKind.NOT_AN_INDEX, "turns", "9" * 5000), None),
        ("x.y.w", Miss(MissKind.NO_KEY, "x.y", "w"), None),
    ],
)
def test_a_miss_says_how_far_the_path_led(path: str, miss: Miss, words: str | None) -> None:
    """The message has to send the user to the right place of a nested row."""
    assert get_path(CELLS, path) == miss
    assert words is None or str(miss) == words


_KEYS = st.text(alphabet="ab.01", max_size=4)
_VALUES = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
)


def _paths(value: object) -> list[list[str]]:
    """The path of every value below *value*."""
    if isinstance(value, dict):
        pairs = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(str(i), item) for i, item in enumerate(value)]
    else:
        return []
    return [[part, *rest] for part, item in pairs for rest in ([], *_paths(item))]


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_every_value_of_a_row_can_be_reached(cells: dict[str, object]) -> None:
    """Dots in keys make paths ambiguous, but must never hide that there is something."""
    for parts in _paths(cells):
        assert not isinstance(get_path(cells, ".".join(parts)), Miss)
