"""A store with some of everything, for the commands that look at single tasks."""

import asyncio
import re
import zlib
from pathlib import Path
from typing import Final

from msgspec import structs

from runner.answer import Citation
from runner.store.endings import Answered, Ending, Posted
from runner.task import Outcome
from tests.reports.filling import Cells, accepted, answered, failed, filled, refused, running

ESC: Final = "\x1b[31m"
"""What a hostile prompt or answer would paint with."""
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What no terminal and no pipe may get: anything but tabs and line ends."""
RAW: Final = b'{"raw": "\x1b[31m\xc3\xa9"}\n'

CELLS: Final = [
    {"q": "why is the sky blue?", "brand": "Acme", "note": "a\tb\\c"},
    {"q": f"how {ESC}red\x07?\nand why?", "brand": "Größe & Söhne", "note": ""},
    {"q": "when?", "brand": "Acme", "note": "東京"},
    {"q": "who?", "brand": "", "note": "x" * 300},
]
"""Answered, answered with escapes in everything, failed at the API, refused."""


def _post(number: int, tag: str) -> Outcome:
    return refused(number, tag) if number == 3 else accepted(number, tag)


def _end(number: int, posted: Posted) -> Ending:
    if number == 2:
        return failed(50000)(number, posted)
    said = (
        "It scatters.\n\n\tfor x in y:\n\t\tpass" if number == 0 else f"Because {ESC}of that.\r\n"
    )
    ending = answered(
        said,
        reasoning=f"Let me {ESC}think.",
        citations=(
            Citation(url="https://a.example/1", title="First"),
            Citation(url=f"https://b.example/{ESC}", title=None),
        ),
    )(number, posted)
    assert isinstance(ending, Answered)
    return structs.replace(ending, reply=zlib.compress(RAW))


def fill_with(store: Path, *rows: Cells) -> None:
    """A run of one answered task for each of *rows*; for tests without an event loop."""

    async def fill() -> None:
        async with filled(store, rows):
            pass

    asyncio.run(fill())


async def fill(store: Path) -> None:
    """Run ``prompts`` (r1): tasks 1 to 4 as ``CELLS`` says; run ``nightly`` (r2): 5 and 6 wait."""
    async with filled(store, CELLS, job="prompts", post=_post, end=_end):
        pass
    async with filled(
        store, CELLS[:2], job="nightly", run_key="2026-11-21", targets=["a"], end=running
    ):
        pass
