"""Prompts made of a text with gaps: ``{{question}} Market: {{market|worldwide}}.``

    {{column}}              the cell; empty or missing, the row is bad
    {{column|some text}}    the cell, or that text where it is empty or missing
    \\{{                     two braces as they are

No conditions, no loops, nothing nested: what a cell holds is put in as it stands and never read as
a template again. A column may be a dotted path, as everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from runner.inputs.paths import Miss, get_path
from runner.jobfile.findings import shown

_MARK: Final = re.compile(r"\\\{\{|\{\{")
_ESCAPED: Final = "\\{{"


class TemplateError(Exception):
    """A text that is no template; ``offset`` is where in it."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a cell goes."""

    column: str
    default: str | None
    """What stands there if the cell is empty; None if it must not be."""
    offset: int
    """Of its braces in the template."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row does not fill a template."""

    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text and its gaps."""

    text: str
    """As written."""
    pieces: tuple[str | Gap, ...]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """In their order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Gap))

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that it uses, each once."""
        return tuple(dict.fromkeys(gap.column for gap in self.gaps))

    def render(self, cells: Mapping[str, object]) -> str | list[Fault]:
        """The prompt of a row, or all that keeps it from one."""
        text: list[str] = []
        faults: dict[Fault, None] = {}
        for piece in self.pieces:
            if isinstance(piece, str):
                text.append(piece)
                continue
            filled = _fill(piece, get_path(cells, piece.column))
            if isinstance(filled, Fault):
                faults[filled] = None
            else:
                text.append(filled)
        return list(faults) or "".join(text)


def parse_template(text: str) -> Template:
    """*text* taken apart.

    Raises:
        TemplateError: a gap is not closed, names nothing, or there is none at all.
    """
    pieces: list[str | Gap] = []
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        _literal(pieces, text[at : mark.start()])
        if mark.group() == _ESCAPED:
            _literal(pieces, "{{")
            at = mark.end()
            continue
        end = text.find("}}", mark.end())
        inside = text[mark.end() : end] if end >= 0 else ""
        if end < 0 or "{{" in inside or "\n" in inside:
            raise TemplateError(mark.start(), "{{ is not closed by }} on its line")
        pieces.append(_gap(inside, mark.start()))
        at = end + len("}}")
    _literal(pieces, text[at:])
    template = Template(text, tuple(pieces))
    if not template.gaps:
        raise TemplateError(
            0,
            "names no column, so every row would ask the same; write {{column}} where a cell goes",
        )
    return template


def _literal(pieces: list[str | Gap], text: str) -> None:
    if not text:
        return
    if pieces and isinstance(last := pieces[-1], str):
        pieces[-1] = last + text
    else:
        pieces.append(text)


def _gap(inside: str, offset: int) -> Gap:
    column, bar, default = inside.partition("|")
    if not column.strip():
        raise TemplateError(offset, f"{{{{{inside}}}}} names no column")
    return Gap(column.strip(), default.strip() if bar else None, offset)


def _fill(gap: Gap, value: object) -> str | Fault:
    match value:
        case Miss() | None:
            empty = True
        case str():
            empty = not value.strip()
        case _:
            empty = False
    if empty and gap.default is not None:
        return gap.default
    match value:
        case Miss():
            return Fault(gap.column, f"column {shown(gap.column)} is missing: {value}")
        case _ if empty:
            return Fault(gap.column, f"column {shown(gap.column)} is empty")
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case _:
            return Fault(
                gap.column,
                f"column {shown(gap.column)} must be text or a number, got {shown(value)}",
            )
