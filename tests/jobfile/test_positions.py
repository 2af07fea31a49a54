"""The scanner that tells where the keys of a TOML document stand."""

import json
import string
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.jobfile.positions import START, Path, Position, scan

NASTY = st.text(alphabet="ab \"'\\#[]{}=,.é\n\t𝄞", max_size=12)
"""Text full of what means something in TOML outside of a string."""


def multi_line_basic(text: str) -> str:
    body = text.replace("\\", "\\\\").replace('"""', '""\\"')
    return f'"""{body}"""'


def multi_line_literal(text: str) -> str:
    return "'''" + text.replace("'''", "''-") + "'''"


STRINGS = st.one_of(
    NASTY.map(lambda text: json.dumps(text, ensure_ascii=False)),
    NASTY.map(lambda text: "'" + text.translate({39: None, 10: None}) + "'"),
    NASTY.map(multi_line_basic),
    NASTY.map(multi_line_literal),
)
SCALARS = st.one_of(
    STRINGS,
    st.sampled_from(
        ["1", "-17", "0xFF", "1_000.5e-3", "inf", "true", "1979-05-27 07:32:00", "07:32:00"]
    ),
)
BLANK = st.sampled_from(["", " ", "\t "])
GAP = st.sampled_from(["", " ", "\n", " # ] } , [x] = 'y'\n\t", "\r\n  "])
"""Between the elements of an array."""
LINE_END = st.sampled_from(["\n", "\r\n", ' # [no] table = """\n', "\n\n \n"])


class Writer:
    """Writes a random document in which no two keys have the same name."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.used = 0

    def key(self) -> str:
        self.used += 1
        bare = f"k{self.used}_"
        quoted = [f'"{bare} \\"é."', f"'{bare}=[#'", f'"{bare}\\u00e9"']
        spelt: str = self.draw(st.sampled_from([bare, bare, *quoted]))
        return spelt

    def dotted(self) -> str:
        parts = [self.key() for _ in range(self.draw(st.integers(1, 3)))]
        return (self.draw(BLANK) + "." + self.draw(BLANK)).join(parts)

    def value(self, depth: int = 0) -> str:
        kind = self.draw(st.integers(0, 5)) if depth < 3 else 0
        if kind == 4:
            elements = [self.value(depth + 1) for _ in range(self.draw(st.integers(0, 3)))]
            inside = [self.draw(GAP) + element + self.draw(GAP) for element in elements]
            comma = "," if self.draw(st.booleans()) and elements else ""
            return "[" + ",".join(inside) + comma + self.draw(GAP) + "]"
        if kind == 5:
            pairs = [self.pair(depth + 1) for _ in range(self.draw(st.integers(0, 3)))]
            return "{" + self.draw(BLANK) + ", ".join(pairs) + "}"
        return self.draw(SCALARS)

    def pair(self, depth: int = 0) -> str:
        return f"{self.dotted()}{self.draw(BLANK)}={self.draw(BLANK)}{self.value(depth)}"

    def pairs(self) -> str:
        lines = (self.draw(BLANK) + self.pair() for _ in range(self.draw(st.integers(0, 3))))
        return "".join(line + self.draw(LINE_END) for line in lines)

    def array_of_tables(self, above: str = "", depth: int = 0) -> str:
        name = above + self.key()
        text = ""
        for _ in range(self.draw(st.integers(1, 3))):
            text += f"[[{self.draw(BLANK)}{name}{self.draw(BLANK)}]]{self.draw(LINE_END)}"
            text += self.pairs()
            if self.draw(st.booleans()):
                text += f"[{name}.{self.dotted()}]{self.draw(LINE_END)}{self.pairs()}"
            if depth < 2 and self.draw(st.booleans()):
                text += self.array_of_tables(f"{name}.", depth + 1)
        return text

    def document(self) -> str:
        text = self.pairs()
        for _ in range(self.draw(st.integers(0, 3))):
            if self.draw(st.booleans()):
                text += self.array_of_tables()
            else:
                text += f" [{self.dotted()}]{self.draw(LINE_END)}{self.pairs()}"
        return text


@st.composite
def documents(draw: st.DrawFn) -> str:
    return Writer(draw).document()


def paths_of(value: object, path: Path = ()) -> Iterator[Path]:
    """Every key and array element of a parsed document."""
    if isinstance(value, dict):
        below: list[tuple[str | int, object]] = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    else:
        return
    for step, inner in below:
        yield (*path, step)
        yield from paths_of(inner, (*path, step))


def text_at(text: str, place: Position) -> str:
    """What stands at *place*, found the way an editor goes to a line and column."""
    return "\n".join(text.split("\n")[place.line - 1 :])[place.column - 1 :]


@given(documents())
def test_every_key_of_any_document_is_found_at_its_own_text(text: str) -> None:
    """A wrong place in an error sends a person to the wrong line of a long job file."""
    places = scan(text).places
    for path in paths_of(tomllib.loads(text)):
        assert path in places
        if isinstance(path[-1], str):
            name = path[-1].split("_")[0] + "_"
            assert text_at(text, places[path]).lstrip("\"'").startswith(name)


@given(documents())
def test_nothing_is_found_that_the_document_does_not_hold(text: str) -> None:
    """Keys read out of strings or comments would be reported as unknown settings."""
    held = set(paths_of(tomllib.loads(text)))
    assert set(scan(text).places) == held


@given(st.text(alphabet=string.printable, max_size=60))
def test_whatever_tomllib_accepts_is_scanned(text: str) -> None:
    """The scanner judges nothing: it may stumble over no document that has been accepted."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(scan(text).places) == set(paths_of(document))


LAID_OUT = '''\
name = "x"
limits . "budget usd" = 4      # dotted and quoted
text = """
not_a_key = 1
[nor_a_table]"""""
chain = [ { role = "user" },
  # [a comment]
          { role = "ai", 'message' = "é" } ]
[input]
  file = "a.csv"
[[targets]]
model = "m"
[targets.where]
market = ["DE", "AT"]
[[ targets ]]
max_output_tokens = "lots"
'''


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("name",), (1, 1)),
        (("limits",), (2, 1)),
        (("limits", "budget usd"), (2, 10)),
        (("text",), (3, 1)),
        (("chain",), (6, 1)),
        (("chain", 0), (6, 11)),
        (("chain", 0, "role"), (6, 13)),
        (("chain", 1, "message"), (8, 26)),
        (("input",), (9, 2)),
        (("input", "file"), (10, 3)),
        (("targets",), (11, 3)),
        (("targets", 0, "model"), (12, 1)),
        (("targets", 0, "where"), (13, 10)),
        (("targets", 0, "where", "market", 1), (14, 17)),
        (("targets", 1), (15, 4)),
        (("targets", 1, "max_output_tokens"), (16, 1)),
    ],
)
def test_a_key_stands_where_an_editor_shows_it(path: Path, place: tuple[int, int]) -> None:
    """Nested tables, arrays of tables, inline tables, dotted and quoted keys, long strings."""
    assert scan(LAID_OUT).of(*path) == place


def test_what_is_missing_is_placed_at_the_table_it_is_missing_from() -> None:
    """ "provider is missing" has no text of its own to point at."""
    positions = scan(LAID_OUT)
    assert positions.of("targets", 1, "provider") == positions.of("targets", 1)
    assert positions.of("retry", "tries") == START


def test_a_text_that_tomllib_would_not_take_is_refused() -> None:
    """Scanning it would yield places of nothing."""
    with pytest.raises(RuntimeError, match="tomllib"):
        scan("= 1")
