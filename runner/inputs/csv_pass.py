"""CSV: one pass over the lines below the header.

Lines are parsed in lists, as they come off the disk. A quote still open at the end of a list waits
for the next one, up to the cap. Where a quote turns out to be broken nobody can tell what belonged
to its row, so care decides:

* closed in the wrong place: all lines from the row's start to that place are one reject;
* never closed: no other quote follows that it could have run to, so the lines up to the one that
  opens it are the reject, and reading goes on behind them.
"""

import csv
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, takewhile
from typing import Final

from runner.errors import Problem
from runner.inputs.encoding import printable
from runner.inputs.lines import LINE_CAP, Overlong, split_lines
from runner.inputs.places import place_at, scan_csv
from runner.inputs.reader import CAP_TEXT, Reread, reject_overlong
from runner.inputs.rows import Layout, Reject, Row

_NUL: Final = b"\0"


@dataclass(frozen=True, slots=True)
class BrokenQuote:
    """Why a record cannot be read."""

    offset: int
    """Of the character to show, in the record's text."""
    message: str
    unclosed: bool


def broken_quote(text: str, delimiter: str, error: str) -> BrokenQuote:
    """What is wrong with the record *text*, which the csv module refused with *error*."""
    scan = scan_csv(text, delimiter)
    if scan.unclosed is not None:
        return BrokenQuote(scan.unclosed, "the quote that opens here is not closed", True)
    if scan.misplaced is None:
        return BrokenQuote(0, f"not valid CSV: {error}", False)
    follower = text[scan.misplaced]
    advice = 'a quote inside a quoted cell is written twice ("")'
    closing = place_at(text, scan.misplaced, 0)
    opening = place_at(text, scan.starts[-1], 0)
    if closing.line == opening.line:
        message = f"{follower!r} stands behind the closing quote of a cell; {advice}"
        return BrokenQuote(scan.misplaced, message, False)
    below = closing.line - opening.line
    where = "on the next line" if below == 1 else f"{below} lines below"
    message = (
        f"the quote that opens here is closed {where}, with {follower!r} behind it: "
        f"either it should not be here, or {advice}"
    )
    return BrokenQuote(scan.starts[-1], message, False)


class CsvPass:
    """What is known between two lists of lines: where we are, and which lines still wait."""

    def __init__(
        self,
        layout: Layout,
        columns: tuple[str, ...],
        delimiter: str,
        header_end: int,
        reread: Reread,
        before: int,
    ) -> None:
        """*before*: rows counted already; the first one here gets the number behind it."""
        self._layout = layout
        self._columns = columns
        self._delimiter = delimiter
        self._header_left = header_end
        self._reread = reread
        self._number = before
        self._line = 1
        """Of the first line that waits, or else of the next one to come."""
        self._waiting: list[bytes] = []
        """Lines of a record whose quote is still open."""

    def read(self, blocks: Iterable[bytes]) -> Iterator[Row | Reject]:
        """All rows, good and bad, in order. *blocks* start at the file's first."""
        for piece in split_lines(blocks):
            if isinstance(piece, Overlong):
                # Longer than any record may be, so what waits for its quote waits in vain.
                yield from self._parse([], final=True)
                self._number += 1
                yield reject_overlong(
                    piece,
                    number=self._number,
                    line=self._line,
                    display=self._layout.display,
                    reread=self._reread,
                )
                self._line += 1
            else:
                yield from self._parse(self._below_header(piece), final=False)
        yield from self._parse([], final=True)

    def _below_header(self, lines: list[bytes]) -> list[bytes]:
        if not self._header_left:
            return lines
        passed = min(self._header_left, len(lines))
        self._header_left -= passed
        self._line += passed
        return lines[passed:]

    def _parse(self, fresh: list[bytes], *, final: bool) -> Iterator[Row | Reject]:
        """Parse what waits and *fresh*; unless *final*, an open quote may wait on."""
        raws = self._waiting + fresh
        self._waiting = []
        texts = list(map(bytes.decode, raws))
        begin = 0
        while begin < len(raws):
            begin = yield from self._parse_from(begin, raws, texts, final=final)
        self._line += len(raws) - len(self._waiting)

    def _parse_from(
        self, begin: int, raws: list[bytes], texts: list[str], *, final: bool
    ) -> Generator[Row | Reject, None, int]:
        """Parse with one csv.reader, and return the line to begin anew at: all done is the end."""
        columns, width, layout, first = self._columns, len(self._columns), self._layout, self._line
        reader = csv.reader(islice(texts, begin, None), delimiter=self._delimiter, strict=True)
        done = begin
        while True:
            try:
                for cells in reader:
                    end = begin + reader.line_num
                    raw = raws[done] if end - done == 1 else b"".join(raws[done:end])
                    if len(raw) > LINE_CAP:
                        reject, passed = self._cut_off(raws[done:end], first + done)
                        yield reject
                        return done + passed
                    if len(cells) == width and _NUL not in raw:
                        self._number += 1
                        named: dict[str, object] = dict(zip(columns, cells, strict=True))
                        yield Row(self._number, first + done, named, raw, layout)
                    # An empty line is no row; nor is one of spaces only, where rows have several
                    # cells.
                    elif cells and (len(cells) > 1 or raw.strip()):
                        yield self._odd_row(first + done, cells, raw)
                    done = end
                return len(raws)
            except csv.Error as error:
                end = begin + reader.line_num
                record, line = raws[done:end], first + done
                broken = broken_quote("".join(texts[done:end]), self._delimiter, str(error))
                if sum(map(len, record)) > LINE_CAP:
                    reject, passed = self._cut_off(record, line)
                elif not broken.unclosed:
                    yield self._reject(b"".join(record), line, broken.offset, broken.message)
                    # The reader starts afresh with the line behind the one it stumbled over.
                    done = end
                    continue
                elif final:
                    reject, passed = self._never_closed(record, line, "")
                else:
                    self._waiting = record
                    return len(raws)
                yield reject
                return done + passed

    def _cut_off(self, record: list[bytes], line: int) -> tuple[Reject, int]:
        """As ``_never_closed``, for a record that passes the cap."""
        # Judged by what lies within the cap alone, so that it makes no difference whether the
        # rest had been read already, which depends on how the blocks fall.
        within = list(takewhile(lambda size: size <= LINE_CAP, accumulate(map(len, record))))
        return self._never_closed(record[: len(within)], line, f" within {CAP_TEXT}")

    def _never_closed(self, record: list[bytes], line: int, limit: str) -> tuple[Reject, int]:
        """The reject up to the line whose quote stays open, and how many lines it takes."""
        text = b"".join(record).decode()
        broken = broken_quote(text, self._delimiter, "")
        passed = place_at(text, broken.offset, line).line - line + 1
        raw = b"".join(record[:passed])
        return self._reject(raw, line, broken.offset, broken.message + limit), passed

    def _odd_row(self, line: int, cells: list[str], raw: bytes) -> Reject:
        """The reject for a row that could be parsed, but has no place under the header."""
        text = raw.decode()
        if _NUL in raw:
            offset = text.index("\0")
            return self._reject(raw, line, offset, "there is a NUL character in the row")
        width = len(self._columns)
        count = f"the row has {_cells(len(cells))}, the header {_cells(width)}"
        if len(cells) < width:
            missing = f'no cell for column "{printable(self._columns[len(cells)])}"'
            return self._reject(raw, line, 0, f"{count}: {missing}")
        surplus = scan_csv(text, self._delimiter).starts[width]
        advice = f"a text that holds {self._delimiter!r} must stand in quotes"
        return self._reject(raw, line, surplus, f"{count}: {advice}")

    def _reject(self, raw: bytes, line: int, offset: int, message: str) -> Reject:
        self._number += 1
        place = place_at(raw.decode(), offset, line)
        problem = Problem(self._layout.display, place.line, place.column, message)
        return Reject(self._number, line, (problem,), self._layout.as_reject(raw))


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
