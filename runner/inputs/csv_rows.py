"""CSV: the header of a file, what separates its cells, and where a cell stands."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from runner.errors import Problem, WrongInput
from runner.inputs.csv_pass import CsvPass, broken_quote
from runner.inputs.csv_rewriting import Rewriting
from runner.inputs.delimiter import ONE_COLUMN, choose_delimiter, known_delimiter, named_in
from runner.inputs.encoding import printable
from runner.inputs.lines import LINE_CAP, Overlong, split_lines
from runner.inputs.places import place_at, scan_csv
from runner.inputs.reader import CAP_TEXT, Reader, Reread
from runner.inputs.rows import Place, Reject, Row

_DIFFERENCES_SHOWN: Final = 5


class CsvReader:
    """Reads CSV under one header and delimiter."""

    def __init__(
        self,
        display: str,
        head: Iterable[bytes],
        delimiter: str | None,
        *,
        tabs: bool = False,
        like: Reader | None = None,
    ) -> None:
        """Settle the delimiter and read the header from *head*, the blocks of the file.

        *tabs*: the file is called .tsv. *like* reads the first of several files: this one needs
        the same columns, and its rejects go below that header.

        Raises:
            UnicodeDecodeError: the file does not begin with UTF-8.
            WrongInput: there is no usable header, its columns are not those of *like*, or
                *delimiter* is none.
        """
        # The module's own limit (131,072) is for the whole process, and shorter than some prompts.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * LINE_CAP))
        self.display = display
        raws, complete = self._take_head(split_lines(head))
        texts = [raw.decode() for raw in raws]
        named = named_in(texts[0]) if texts else None
        if named is not None:
            # No row and no header: as if the line were empty, so that all others keep their number.
            texts[0] = "\n"
        if delimiter is not None:
            self._delimiter = known_delimiter(delimiter)
        elif named is not None:
            self._delimiter = known_delimiter(named)
        else:
            found = choose_delimiter(texts, complete=complete)
            self._delimiter = self._of_tsv(texts, found) if tabs else found
        self.columns, self._header_end = self._read_header(texts)
        self.header = b"".join(raws[: self._header_end])
        self._rewritten = None if like is None else self._rewriting(like)

    @property
    def delimiter(self) -> str | None:
        return None if self._delimiter == ONE_COLUMN else self._delimiter

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        if name not in self.columns:
            return Place(line, 1)
        text = raw.decode()
        starts = scan_csv(text, self._delimiter).starts
        return place_at(text, starts[self.columns.index(name)], line)

    def as_reject(self, raw: bytes) -> bytes:
        return raw if self._rewritten is None else self._rewritten.row(raw)

    def read(
        self, blocks: Iterable[bytes], reread: Reread, before: int = 0
    ) -> Iterator[Row | Reject]:
        """See ``Reader.read``.

        Raises:
            UnicodeDecodeError: a line is not UTF-8.
        """
        one_pass = CsvPass(self, self.columns, self._delimiter, self._header_end, reread, before)
        return one_pass.read(blocks)

    def _of_tsv(self, texts: Sequence[str], found: str) -> str:
        """The tab, unless the header has only *found*: then the file's name is wrong.

        Raises:
            WrongInput: it is.
        """
        header = next((text for text in texts if text.strip("\r\n")), "")
        if "\t" not in header and found in header:
            raise WrongInput(
                f"{self.display} is called .tsv, but {found!r} separates its columns, not a tab",
                where=f"{self.display}:{texts.index(header) + 1}",
                how=f"call it .csv, or say so: --delimiter '{found}'",
            )
        return "\t"

    def _rewriting(self, like: Reader) -> "Rewriting | None":
        """How rows get below the header of *like*; None if they can stand there as they are.

        Raises:
            WrongInput: that header has other columns.
        """
        theirs = like.columns or ()
        if set(theirs) != set(self.columns):
            raise self._other_columns(like.display, theirs)
        if theirs == self.columns and self.delimiter == like.delimiter:
            return None
        # Where nothing separates, there is one column: then no comma is written either.
        return Rewriting(self.columns, self._delimiter, theirs, like.delimiter or ",")

    def _other_columns(self, display: str, theirs: Sequence[str]) -> WrongInput:
        lacking = [f'no "{printable(name)}"' for name in theirs if name not in self.columns]
        surplus = [f'"{printable(name)}"' for name in self.columns if name not in theirs]
        differences = [*lacking, *(f"{name} of its own" for name in surplus)]
        shown = ", ".join(differences[:_DIFFERENCES_SHOWN])
        more = len(differences) - _DIFFERENCES_SHOWN
        return WrongInput(
            f"{self.display} has other columns than {display}: "
            + (f"{shown} and {more} more" if more > 0 else shown),
            where=f"{self.display}:1",
            why="all files of one input are read as one table",
            how="give both the same columns, in any order, or make a job of each",
        )

    def _read_header(self, texts: list[str]) -> tuple[tuple[str, ...], int]:
        """The names, and the number of lines up to the end of the header."""
        reader = csv.reader(texts, delimiter=self._delimiter, strict=True)
        try:
            names = next(filter(None, reader), None)
        except csv.Error as error:
            start = next(i for i, text in enumerate(texts) if text.strip("\r\n"))
            text = "".join(texts[start : reader.line_num])
            broken = broken_quote(text, self._delimiter, str(error))
            place = place_at(text, broken.offset, start + 1)
            problem = Problem(self.display, place.line, place.column, broken.message)
            raise self._bad_header([problem]) from None
        if names is None:
            raise WrongInput(
                f"{self.display} is empty",
                how="name the columns in its first line and give each prompt a line below it",
            )
        self._check_names(names, "".join(texts[: reader.line_num]))
        return tuple(names), reader.line_num

    def _check_names(self, names: Sequence[str], text: str) -> None:
        begins = len(text) - len(text.lstrip("\r\n"))
        line = place_at(text, begins, 1).line
        starts = scan_csv(text[begins:], self._delimiter).starts
        problems = []
        for i, name in enumerate(names):
            if not name.strip():
                message = f"column {i + 1} of {len(names)} has no name"
            elif name in names[:i]:
                first = names.index(name) + 1
                message = f'columns {first} and {i + 1} are both called "{name}"'
            elif "\0" in name:
                message = f"the name of column {i + 1} holds a NUL character"
            else:
                continue
            place = place_at(text[begins:], starts[i], line)
            problems.append(Problem(self.display, place.line, place.column, message))
        if problems:
            raise self._bad_header(problems)

    def _bad_header(self, problems: Sequence[Problem]) -> WrongInput:
        return WrongInput(
            f"the header of {self.display} cannot be used: {problems[0].message}",
            problems=problems,
            where=f"{self.display}:{problems[0].line}:{problems[0].column}",
            how="give every column a name of its own in the first line",
        )

    def _take_head(self, lines: Iterable[list[bytes] | Overlong]) -> tuple[list[bytes], bool]:
        """Lines from the file's start, a cap's worth or so, and whether that is all of it."""
        head: list[bytes] = []
        size = 0
        for piece in lines:
            if isinstance(piece, Overlong):
                if not head:
                    raise WrongInput(
                        f"the first line of {self.display} is longer than {CAP_TEXT}: no header",
                        how="name the columns in the first line",
                    )
                return head, False
            head += piece
            size += sum(map(len, piece))
            if size > LINE_CAP:
                return head, False
        return head, True
