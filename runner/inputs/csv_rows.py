"""CSV: the header of a file, what separates its cells, and where a cell stands."""

import csv
from collections.abc import Iterator, Sequence

from runner.errors import Problem, WrongInput
from runner.inputs.csv_pass import CsvPass, broken_quote
from runner.inputs.delimiter import ONE_COLUMN, choose_delimiter, known_delimiter
from runner.inputs.lines import LINE_CAP, Overlong
from runner.inputs.places import place_at, scan_csv
from runner.inputs.reader import CAP_TEXT, Lines, Reread
from runner.inputs.rows import Place, Reject, Row


class CsvReader:
    """Reads CSV under one header and delimiter."""

    def __init__(self, display: str, head: Lines, delimiter: str | None) -> None:
        """Settle the delimiter and read the header from *head*, the lines of the file.

        Raises:
            UnicodeDecodeError: the file does not begin with UTF-8.
            WrongInput: there is no usable header, or *delimiter* is none.
        """
        # The module's own limit (131,072) is for the whole process, and shorter than some prompts.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * LINE_CAP))
        self.display = display
        raws, complete = self._take_head(head)
        texts = [raw.decode() for raw in raws]
        self._delimiter = (
            choose_delimiter(texts, complete=complete)
            if delimiter is None
            else known_delimiter(delimiter)
        )
        self.columns, self._header_end = self._read_header(texts)
        self.header = b"".join(raws[: self._header_end])

    @property
    def delimiter(self) -> str | None:
        return None if self._delimiter == ONE_COLUMN else self._delimiter

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        if name not in self.columns:
            return Place(line, 1)
        text = raw.decode()
        starts = scan_csv(text, self._delimiter).starts
        return place_at(text, starts[self.columns.index(name)], line)

    def read(self, lines: Lines, reread: Reread) -> Iterator[Row | Reject]:
        """See ``Reader.read``.

        Raises:
            UnicodeDecodeError: a line is not UTF-8.
        """
        one_pass = CsvPass(self, self.columns, self._delimiter, self._header_end, reread)
        return one_pass.read(lines)

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

    def _take_head(self, lines: Lines) -> tuple[list[bytes], bool]:
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
