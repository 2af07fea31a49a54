"""Templates: what is filled in, what is refused, and that no cell can pretend to be one."""

import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.jobfile.template import Fault, Gap, TemplateError, parse_template


def rendered(template: str, cells: Mapping[str, object]) -> str:
    """The prompt that must come about."""
    found = parse_template(template).render(cells)
    assert isinstance(found, str)
    return found


def faults(template: str, cells: Mapping[str, object]) -> list[Fault]:
    found = parse_template(template).render(cells)
    assert isinstance(found, list)
    return found


CELLS = {"brand": "Halvane", "market": "", "n": 3, "ok": True, "turns": ["one", {"x": 0.5}]}


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Is {{brand}} good?", "Is Halvane good?"),
        ("{{ brand }}{{brand}}", "HalvaneHalvane"),
        ("{{market|worldwide}}", "worldwide"),
        ("{{ market | the whole world }}!", "the whole world!"),
        ("{{market|}}{{brand|nobody}}", "Halvane"),
        ("{{elsewhere|none}}", "none"),
        ("{{n}} {{ok}} {{turns.1.x}} {{turns.0}}", "3 true 0.5 one"),
        (r"\{{brand}} is {{brand}}", "{{brand}} is Halvane"),
        ("{brand} }} {{brand}} }", "{brand} }} Halvane }"),
        ("{{market|a|b}}", "a|b"),
        ("two\n{{brand}}\nlines", "two\nHalvane\nlines"),
    ],
)
def test_gaps_are_filled_from_the_row(template: str, prompt: str) -> None:
    """The prompt is what is paid for: to the character what a person expects of the template."""
    assert rendered(template, CELLS) == prompt


@pytest.mark.parametrize(
    ("template", "offset", "said"),
    [
        ("Is {{brand good?", 3, "not closed"),
        ("{{brand\n}}", 0, "not closed"),
        ("{{brand {{market}}", 0, "not closed"),
        ("Is it {{}}?", 6, "names no column"),
        ("Is it {{ | x }}?", 6, "names no column"),
        ("Is it good?", 0, "every row would ask the same"),
        (r"Is \{{it}} good?", 0, "every row would ask the same"),
    ],
)
def test_a_text_that_is_no_template_is_refused_at_its_place(
    template: str, offset: int, said: str
) -> None:
    """A gap that is sent as it stands is money for nonsense."""
    with pytest.raises(TemplateError, match=said) as refusal:
        parse_template(template)
    assert refusal.value.offset == offset


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("market", 'column "market" is empty'),
        ("blank", 'column "blank" is empty'),
        ("nothing", 'column "nothing" is empty'),
        ("elsewhere", 'column "elsewhere" is missing: the row has no "elsewhere"'),
        ("turns.7", "there is no item 7"),
        ("turns", 'column "turns" must be text or a number, got a list'),
    ],
)
def test_a_row_that_does_not_fill_a_gap_is_refused(column: str, said: str) -> None:
    """A prompt with a hole in it is answered, paid for, and worth nothing."""
    cells = {**CELLS, "blank": " \t", "nothing": None}
    (fault,) = faults(f"{{{{{column}}}}} and {{{{{column}}}}}", cells)
    assert fault.column == column
    assert said in fault.message


_NAMES = st.text(string.ascii_letters + string.digits + "_ é-.", min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and name.strip(".")
)
_LITERALS = st.text(max_size=12).filter(lambda text: "{{" not in text and not text.endswith("{"))


@given(st.lists(st.tuples(_LITERALS, _NAMES, st.none() | st.just("else")), min_size=1, max_size=5))
def test_what_is_taken_apart_is_what_was_written(
    parts: list[tuple[str, str, str | None]],
) -> None:
    """Parsing loses nothing and invents nothing, whatever stands between the gaps."""
    parts = [(text.replace("\\", "/"), name, default) for text, name, default in parts]
    written = "".join(
        f"{text}{{{{{name}{'' if default is None else '|' + default}}}}}"
        for text, name, default in parts
    )
    pieces = parse_template(written).pieces
    again = "".join(
        piece
        if isinstance(piece, str)
        else f"{{{{{piece.column}{'' if piece.default is None else '|' + piece.default}}}}}"
        for piece in pieces
    )
    assert again == written
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    assert [(gap.column, gap.default) for gap in gaps] == [(n, d) for _, n, d in parts]
    assert all(written.startswith("{{", gap.offset) for gap in gaps)


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_whatever_a_cell_holds_is_put_in_as_it_stands(brand: str, market: str) -> None:
    """A customer's cell that looks like a template must not pull in another cell, or fail."""
    hostile = brand + "{{market}}" + r"\{{" + market
    cells = {"brand": hostile, "market": market}
    assert rendered("<{{brand}}|{{market}}>", cells) == f"<{hostile}|{market}>"


@given(st.text())
def test_any_text_is_a_template_or_a_mistake_with_a_place(text: str) -> None:
    """No text may end in an error that nobody foresaw."""
    try:
        template = parse_template(text)
    except TemplateError as error:
        offset = error.offset
    else:
        offset = template.gaps[0].offset
        cells = dict.fromkeys(template.columns, "x")
        assert isinstance(template.render(cells), str)
    assert 0 <= offset <= len(text)
