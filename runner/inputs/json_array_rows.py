"""A JSON array of objects: ``[{"prompt": …}, …]``, on one line or on many."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from runner.errors import Problem
from runner.inputs.json_elements import Element, Splitter
from runner.inputs.json_objects import Fault, explain, objection
from runner.inputs.lines import LINE_CAP
from runner.inputs.places import json_offset, place_at
from runner.inputs.reader import CAP_TEXT, Reread
from runner.inputs.rows import Place, Reject, Row

# A file of rejects is JSON Lines. Between tokens a tab is as good as a line end; within a string
# it is as wrong, so that no row is mended by the way.
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"\t\t")


class _Layout(Struct, frozen=True, gc=False):
    """One row, which need not begin its line."""

    display: str
    column: int
    """Of its first character."""

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        text = raw.decode()
        return self.place_at(line, text, json_offset(text, name))

    def place_at(self, line: int, text: str, offset: int) -> Place:
        place = place_at(text, offset, line)
        return place if place.line > line else Place(line, place.column + self.column - 1)

    def as_reject(self, raw: bytes) -> bytes:
        return raw.translate(_ONE_LINE)


class JsonArrayReader:
    """Reads a list of objects; every row brings its own names."""

    columns: None = None
    delimiter: None = None
    header: bytes = b""

    def __init__(self, display: str, head: Iterable[bytes]) -> None:
        """Look whether *head*, the blocks of the file, begin a list.

        Raises:
            WrongInput: they do not.
        """
        self.display = display
        start = Splitter(display)
        any(start.starts(block) for block in head)

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        return _Layout(self.display, 1).place(line, raw, name)

    def as_reject(self, raw: bytes) -> bytes:
        return raw.translate(_ONE_LINE)

    def read(
        self, blocks: Iterable[bytes], reread: Reread, before: int = 0
    ) -> Iterator[Row | Reject]:
        """See ``Reader.read``.

        Raises:
            UnicodeDecodeError: a row is not UTF-8.
            WrongInput: the list is not closed, or something stands behind it.
        """
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        number = before
        for elements in Splitter(self.display).split(blocks):
            for element in elements:
                number += 1
                raw = element.raw
                if element.length:
                    yield self._reject_overlong(element, number, reread)
                    continue
                try:
                    cells = decode(raw)
                except (ValueError, RecursionError) as error:
                    yield self._reject(element, number, _why(raw, error))
                    continue
                fault = objection(raw, cells)
                if fault is None:
                    layout = _Layout(self.display, element.column)
                    yield Row(number, element.line, cells, raw, layout)
                else:
                    yield self._reject(element, number, fault)

    def _reject(self, element: Element, number: int, fault: Fault) -> Reject:
        layout = _Layout(self.display, element.column)
        place = layout.place_at(element.line, element.raw.decode(), fault.offset)
        problem = Problem(self.display, place.line, place.column, fault.message)
        return Reject(number, element.line, (problem,), self.as_reject(element.raw))

    def _reject_overlong(self, element: Element, number: int, reread: Reread) -> Reject:
        message = f"the row has {element.length:,} bytes; it may have {LINE_CAP:,} ({CAP_TEXT})"

        def pieces() -> Iterator[bytes]:
            for block in reread(element.offset, element.length):
                yield self.as_reject(block)

        return Reject(
            number=number,
            line=element.line,
            problems=(Problem(self.display, element.line, element.column, message),),
            raw=element.raw,
            reread=pieces,
        )


def _why(raw: bytes, error: ValueError | RecursionError) -> Fault:
    """Why *raw* is no row.

    Raises:
        UnicodeDecodeError: it is not UTF-8, and so the file is not.
    """
    if not raw.decode():
        return Fault(0, "no row stands here: there is a comma too many")
    return explain(raw, error, whole="row")
