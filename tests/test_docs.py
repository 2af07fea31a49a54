"""The pages under docs/ say what the code does."""

import re
from pathlib import Path

from runner.lifecycle import MOVES, Event, Reason, State
from runner.reports.columns import COLUMNS
from runner.store.sqlite.reading import EXPORTED

DOCS = Path(__file__).parent.parent / "docs"
STATES_PAGE = DOCS / "states.md"


def diagram() -> str:
    """The table of moves as a Mermaid diagram: what docs/states.md must contain."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    for state, moves in MOVES.items():
        by_target: dict[State, list[Event]] = {}
        for event, target in moves.items():
            by_target.setdefault(target, []).append(event)
        for target, events in by_target.items():
            lines.append(f"    {state} --> {target}: {', '.join(events)}")
    return "\n".join(lines)


def test_the_page_of_states_draws_the_table_of_moves() -> None:
    """People decide about money by this picture; it must not drift from the code."""
    assert diagram() in STATES_PAGE.read_text(encoding="utf-8")


def test_the_page_of_states_explains_every_state_and_reason() -> None:
    """A state or reason that shows in an export must be found on the page."""
    page = STATES_PAGE.read_text(encoding="utf-8")
    for word in (*State, *Reason):
        assert f"`{word}`" in page


def columns_of(page: str, heading: str) -> list[str]:
    """The words of the table's first cells under *heading*, in their order."""
    part = (DOCS / page).read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    cells = re.findall(r"^\| (`.*?`) \|", part.partition("\n## ")[0], re.MULTILINE)
    return re.findall(r"`(\w+)`", " ".join(cells))


def test_the_pages_have_every_column_of_exports_and_of_the_view() -> None:
    """What a column means is looked up there, and programs are written from it."""
    assert columns_of("jobs.md", "## Exports") == list(COLUMNS)
    view = columns_of("looking-inside.md", "## The view `results_v1`")
    assert set(view) == {"job", "run_key", *EXPORTED}
