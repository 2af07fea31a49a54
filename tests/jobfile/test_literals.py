"""A place inside a TOML string is the place of what was written there, however it is quoted."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from runner.jobfile.literals import offset_in
from runner.jobfile.positions import scan

_PIECES = st.lists(
    st.sampled_from(
        [
            ("a", "a"),
            ("ü", "ü"),
            ("🏆", "🏆"),
            ("\\t", "\t"),
            ("\\u00e9", "é"),
            ("\\U0001F3C6", "🏆"),
            ('\\"', '"'),
            ("\\\\", "\\"),
            ("\n", "\n"),
            ("\r\n", "\n"),
            ("\\\n  ", ""),
            ("\\ \r\n\n ", ""),
            ("'", "'"),
        ]
    ),
    max_size=8,
)


@given(_PIECES, st.sampled_from(["", "\n", "\r\n"]))
def test_every_character_of_a_text_is_found_where_it_was_written(
    pieces: list[tuple[str, str]], first: str
) -> None:
    """An error that points beside the gap makes a person look for it in the wrong line."""
    raw = f'"""{first}x{"".join(written for written, _ in pieces)}MARK"""'
    value = tomllib.loads(f"key = {raw}")["key"]
    assert raw.startswith("MARK", offset_in(raw, value.index("MARK")))
    assert raw.startswith("x", offset_in(raw, 0))


@given(st.text('ab\\"ü', max_size=6), st.sampled_from(["'", "'''", "'''\n"]))
def test_nothing_is_an_escape_between_single_quotes(text: str, opening: str) -> None:
    """What such a string shows is what it is, backslashes included."""
    raw = f"{opening}{text}MARK{opening.strip()}"
    value = tomllib.loads(f"key = {raw}")["key"]
    assert raw.startswith("MARK", offset_in(raw, value.index("MARK")))


def test_the_place_counts_lines_and_columns_of_the_file() -> None:
    """Line and column are what an editor goes to."""
    text = '[prompt]\ntemplate = """\nfirst\n  MARK"""\ncolumn = "é MARK"\n'
    places = scan(text)
    assert places.inside(("prompt", "template"), len("first\n  ")) == (4, 3)
    assert places.inside(("prompt", "column"), len("é ")) == (5, 13)
    assert places.inside(("prompt", "samples"), 3) == (1, 2)
