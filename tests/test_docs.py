"""The pages under docs/ say what the code does."""

import re
from pathlib import Path

import pytest

from runner.lifecycle import MOVES, Event, Reason, State
from runner.reports.columns import COLUMNS
from runner.simulator.faults import Fault
from runner.simulator.readers import scenario_from_toml
from runner.store.sqlite.reading import EXPORTED

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
STATES_PAGE = DOCS / "states.md"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "bench" / "README.md"])


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


def places_of(page: Path) -> set[str]:
    """What a link may name behind the # of *page*."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """A heading that is reworded takes its link with it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            file, _, place = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), link
            assert not place or place in places_of(target), link


def test_the_scenario_of_the_page_is_one(tmp_path: Path) -> None:
    """It is the example that people begin their own with."""
    page = (DOCS / "operating.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^    latency = (?:.+\n)+", page, re.MULTILINE)
    file = tmp_path / "faults.toml"
    file.write_text(re.sub(r"^    ", "", example, flags=re.MULTILINE), encoding="utf-8")
    scenario = scenario_from_toml(file)
    assert (scenario.latency.seconds, scenario.error_rate) == (20.0, 0.02)
    assert [(rate.fault, rate.rate) for rate in scenario.faults] == [(Fault.DROP_AFTER, 0.01)]
