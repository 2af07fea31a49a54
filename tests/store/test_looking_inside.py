"""The queries of docs/looking-inside.md: they are pasted, into whichever database there is."""

import re

from tests.store.places import Place
from tests.store.steps import ANSWER, PRICE, begin, numbered
from tests.support.clock import ManualClock
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "looking-inside.md").read_text("utf-8")


async def test_the_queries_of_the_page_find_the_same_on_both_stores(
    place: Place, clock: ManualClock
) -> None:
    """SQLite takes much that PostgreSQL does not, and its LIKE finds more."""
    async with place.open(clock) as store:
        scene = await begin(store, clock, job="brand-watch", key="2026-11-21")
        await scene.load(numbered(3))
        await scene.complete(2)
    queries = re.findall(r"^(    SELECT (?:.|\n)*?;)$", PAGE, re.MULTILINE)
    sources, named, nights = (place.read(query.replace("acme", "rayleigh")) for query in queries)
    assert set(sources) == {(citation.url, 2) for citation in ANSWER.citations}
    assert named == [("claude-sonnet-4-0", 2, 2)]
    ((night, dollars, tasks),) = nights
    assert (night, round(float(dollars) * 10**9), tasks) == ("2026-11-21", 2 * PRICE, 3)
