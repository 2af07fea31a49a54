"""Rejects of one CSV file written below the header of another.

A file of rejects has one header: that of the first of several files. A row of another one, whose
columns stand in another order or between other delimiters, would mean something else below it.
"""

import csv
import io
from collections.abc import Sequence


class Rewriting:
    """From one order of columns and one delimiter to another."""

    def __init__(
        self, columns: Sequence[str], delimiter: str, theirs: Sequence[str], their_delimiter: str
    ) -> None:
        """*columns* and *theirs* are the same names."""
        self._order = [columns.index(name) for name in theirs]
        self._delimiter = delimiter
        self._their_delimiter = their_delimiter

    def row(self, raw: bytes) -> bytes:
        """The row *raw* for the other header.

        One without a cell for each column becomes a single cell in quotes with a question mark
        behind them: so it is refused again, whatever the delimiter, until somebody has mended it.
        """
        text = raw.decode()
        cells = self._cells(text)
        if cells is None:
            return ('"' + text.rstrip("\r\n").replace('"', '""') + '"?\n').encode()
        out = io.StringIO()
        writer = csv.writer(
            out, delimiter=self._their_delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        writer.writerow([cells[i] for i in self._order])
        return out.getvalue().encode()

    def _cells(self, text: str) -> list[str] | None:
        lines = io.StringIO(text, newline="")
        try:
            records = list(csv.reader(lines, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return None
        whole = len(records) == 1 and len(records[0]) == len(self._order)
        return records[0] if whole else None
