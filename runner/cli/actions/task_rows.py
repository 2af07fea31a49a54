"""Tasks as rows: which columns there are, as text for programs and as a table for people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from runner.cli.layout import clipped, side_by_side, span, tab_separated, width_of
from runner.cli.selecting import check_columns
from runner.errors import WrongInput
from runner.logs import printable
from runner.money import short
from runner.reports.task_lines import COLUMNS, INPUT, Cells, age_s, cell, cells_of
from runner.store.listing import TaskLine
from runner.store.values import Run

Page = Sequence[tuple[TaskLine, Run]]

_AFTER_THE_ROW: Final = (
    "target",
    "provider",
    "model",
    "state",
    "reason",
    "error_code",
    "attempts",
    "age_s",
    "cost_usd",
)
_RIGHT: Final = frozenset(
    {"task_id", "run_id", "sample", "turn", "error_code", "attempts", "polls", "age_s", "cost_usd"}
)
_HEADS: Final = {
    "task_id": "TASK",
    "error_code": "CODE",
    "error_message": "MESSAGE",
    "attempts": "TRIED",
    "age_s": "AGE",
    "cost_usd": "COST",
}
_DROPPED_FIRST: Final = ("attempts", "target", "cost_usd", "error_code")
"""On a narrow terminal; ``--columns`` brings them back."""
_NAMES: Final = ("target", "model")
"""Ours that may be long."""
_LEAST: Final = 12
"""Columns of a terminal that a text gets, however narrow it is."""
_WIDEST: Final = 48


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the list."""

    name: str
    """As ``--columns`` takes it."""
    own: str | None
    """The name of ours; None for a cell of the input."""
    cell: str = ""
    """The input's column."""

    @property
    def cut(self) -> bool:
        """Whether what is too long for a screen may be cut."""
        return self.own is None or self.own in _NAMES


def usual_columns(runs: Sequence[Run], *, for_people: bool = False) -> list[Column]:
    """What is shown unasked: the number, the run if there are several, the row's key, ours.

    *for_people*: the reason stands with the state.
    """
    keys = dict.fromkeys(name for run in runs for name in run.key_columns)
    own = ["task_id", "run"] if len(runs) > 1 else ["task_id"]
    return [
        *(Column(name, name) for name in own),
        *(Column(_told_apart(name), None, name) for name in keys),
        *(Column(name, name) for name in _AFTER_THE_ROW if not (for_people and name == "reason")),
    ]


def _told_apart(name: str) -> str:
    return f"{INPUT}{name}" if name in COLUMNS else name


def asked_columns(names: str, inputs: Collection[str]) -> list[Column]:
    """The columns that ``--columns`` names; *inputs* are those of the input.

    Raises:
        WrongInput: there is none of a name, or no name.
    """
    found = [_column(name.strip(), inputs) for name in names.split(",") if name.strip()]
    if not found:
        raise WrongInput("--columns names no column", how="runner tasks --columns task_id,state")
    return found


def _column(name: str, inputs: Collection[str]) -> Column:
    if name in COLUMNS:
        return Column(name, name)
    if name.startswith(INPUT) and name not in inputs:
        found = name.removeprefix(INPUT)
        check_columns([found], inputs)
        return Column(name, None, found)
    check_columns([name], {*inputs, *COLUMNS})
    return Column(name, None, name)


class Lines:
    """For programs: a header, then tab-separated cells."""

    def __init__(self, columns: Sequence[Column], now: datetime) -> None:
        self._columns, self._now = columns, now
        self._headed = False

    def lines(self, page: Page) -> list[str]:
        """*page* as lines, the header before the first."""
        lines = [] if self._headed else [tab_separated([column.name for column in self._columns])]
        self._headed = True
        for line, run in page:
            cells = cells_of(line)
            lines.append(
                tab_separated(
                    [_text(_value(c, line, run, cells, self._now)) for c in self._columns]
                )
            )
        return lines


class Table:
    """For people: columns as wide as what was shown so far, as far as the screen allows."""

    def __init__(
        self, columns: Sequence[Column], now: datetime, screen: int, *, may_drop: bool = False
    ) -> None:
        """*screen*: columns of the terminal; *may_drop*: nobody asked for just these."""
        self._now, self._screen, self._may_drop = now, screen, may_drop
        self._headed = False
        self._set([(column, width_of(_head(column))) for column in columns])

    def _set(self, columns: Sequence[tuple[Column, int]]) -> None:
        self._columns = [column for column, _ in columns]
        self._widths = [width for _, width in columns]
        self._right = frozenset(i for i, c in enumerate(self._columns) if c.own in _RIGHT)

    def lines(self, page: Page) -> list[str]:
        """*page* as lines, the heads before the first."""
        if not self._headed:
            if not page:
                return ["no task is meant by all of these"]
            self._fit(page)
            self._headed = True
            return [self._line([_head(column) for column in self._columns]), *self.lines(page)]
        rows = self._rows(page)
        # What is cut stays as narrow as it is; all else must be seen whole.
        self._widths = [
            width if column.cut else max(width, *(width_of(row[i]) for row in rows))
            for i, (column, width) in enumerate(zip(self._columns, self._widths, strict=True))
        ]
        return [self._line(row) for row in rows]

    def _rows(self, page: Page) -> list[list[str]]:
        return [
            [self._cell(column, line, run, cells) for column in self._columns]
            for line, run in page
            for cells in [cells_of(line)]
        ]

    def _line(self, row: Sequence[str]) -> str:
        cut = [clipped(text, width) for text, width in zip(row, self._widths, strict=True)]
        return side_by_side(cut, self._widths, self._right)

    def _fit(self, page: Page) -> None:
        """Cut the cells of the input to fit, then names; leave out what matters least."""
        rows = [[_head(column) for column in self._columns], *self._rows(page)]
        self._widths = [max(map(width_of, cells)) for cells in zip(*rows, strict=True)]
        for own in ((None,), _NAMES):
            cut = [i for i, column in enumerate(self._columns) if column.own in own]
            for i in sorted(cut, key=lambda i: self._widths[i], reverse=True):
                over = max(0, self._too_wide())
                self._widths[i] = min(self._widths[i], max(_LEAST, self._widths[i] - over))
        columns = list(zip(self._columns, self._widths, strict=True))
        for name in _DROPPED_FIRST if self._may_drop else ():
            if self._too_wide() > 0:
                columns = [each for each in columns if each[0].own != name]
                self._set(columns)

    def _too_wide(self) -> int:
        return sum(self._widths) + 2 * (len(self._widths) - 1) - self._screen

    def _cell(self, column: Column, line: TaskLine, run: Run, cells: Cells) -> str:
        match column.own:
            case "age_s":
                # The first of its two numbers: a list is for comparing.
                return " ".join(span(age_s(line, self._now)).split()[:2])
            case "cost_usd":
                return short(line.charged) if line.charged else "-"
            case "state" if self._may_drop and line.reason:
                return f"{line.state}, {line.reason}"
            case "target" if line.target.startswith(f"{line.endpoint.provider}/{line.model}/"):
                # A name that was not given says what stands beside it.
                return "-"
        text = _text(_value(column, line, run, cells, self._now)) or "-"
        return clipped(printable(text), _WIDEST)


def _head(column: Column) -> str:
    if column.own is None:
        return clipped(printable(column.name), _WIDEST)
    return _HEADS.get(column.own, column.own.upper())


def _value(column: Column, line: TaskLine, run: Run, cells: Cells, now: datetime) -> object:
    return COLUMNS[column.own](line, run, now) if column.own else cell(cells, column.cell)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
