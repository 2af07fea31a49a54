"""Which column of a prompt file holds the prompts, as far as a look at it can tell."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LIKELY: Final = (
    "prompt",
    "user_prompt",
    "question",
    "query",
    "text",
    "message",
    "instruction",
    "input",
    "content",
)
"""Names that a column of prompts has, the likeliest first; a plural counts too."""

_SENTENCE: Final = 3
"""Words; names have fewer. Scripts without spaces are found by the column's name or not at all."""

_LETTER: Final = re.compile(r"[^\W\d_]")
_ADDRESS: Final = re.compile(r"\s*(https?://\S+|\S+@\S+)\s*")


@dataclass(frozen=True, slots=True)
class Found:
    """The column taken for the prompt."""

    column: str
    by_name: bool
    """Else it was the first one with sentences, or merely with text."""


def prompt_column(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Found | None:
    """The likeliest of *columns*; None if no column has text in *rows*, a sample of the file."""
    sample = list(rows)
    texts = [column for column in columns if _is_text(row.get(column) for row in sample)]
    for wanted in LIKELY:
        for name_of in (_whole, _last_word):
            for column in texts:
                if name_of(column) in (wanted, f"{wanted}s", f"{wanted[:-1]}ies"):
                    return Found(column, by_name=True)
    prose = [column for column in texts if _is_prose(row.get(column) for row in sample)]
    return Found([*prose, *texts][0], by_name=False) if texts else None


def _is_text(cells: Iterable[object]) -> bool:
    """Whether most of the cells that are not empty are words, rather than numbers or addresses."""
    filled = [cell for cell in cells if cell not in (None, "")]
    words = [
        cell
        for cell in filled
        if isinstance(cell, str) and _LETTER.search(cell) and not _ADDRESS.fullmatch(cell)
    ]
    return 2 * len(words) > len(filled)


def _is_prose(cells: Iterable[object]) -> bool:
    """Whether most of the texts have several words."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    return 2 * sum(len(text.split()) >= _SENTENCE for text in texts) > len(texts)


def _whole(column: str) -> str:
    return "_".join(_words(column))


def _last_word(column: str) -> str:
    """``text`` of ``Prompt text``: what a compound is, rather than what it is of."""
    return ([*_words(column)] or [""])[-1]


def _words(column: str) -> list[str]:
    return re.findall(r"[^\W_]+", column.casefold())
