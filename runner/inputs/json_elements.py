"""A JSON array cut into its elements as it streams by; what an element holds is not looked at.

    [ {"prompt": "a, b"} , {"prompt": …} ]      depth 1: cut at commas
      └──── element ───┘                        deeper, and within strings: pass on

Brackets are only counted. Where one is missing, all up to the end may become one element: nobody
can tell where the next would begin, so the file is refused as a whole.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from runner.errors import WrongInput
from runner.inputs.encoding import printable
from runner.inputs.lines import LINE_CAP

_SPACES: Final = b" \t\r\n"
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TO_CUT: Final = re.compile(rb'(?:[^"{}\[\],]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_QUOTE, _BACKSLASH, _COMMA, _ARRAY, _ARRAY_END = b'"\\,[]'
_OPENING: Final = b"{["
_INSIDE_CHARACTER: Final = bytes(range(0x80, 0xC0))
"""Bytes of UTF-8 with which no character begins."""
_HEAD: Final = 1000
"""Bytes kept of an element over the cap."""
_SHOWN: Final = 20
"""Characters of the file in a message."""


# A Struct and no dataclass: one is made for every row of the input, and it is made in C.
class Element(Struct, frozen=True, gc=False):
    """What stands between two commas, without the white space around it."""

    raw: bytes
    """Empty if nothing stands there. Of an element over the cap only its start."""
    line: int
    column: int
    """Of its first character, from 1."""
    offset: int = 0
    """Of an element over the cap: bytes of the stream before it."""
    length: int = 0
    """Of an element over the cap: its bytes, white space behind it included; else 0."""


class Cursor:
    """Line and column behind all that was passed by, both from 1."""

    def __init__(self) -> None:
        self.line = 1
        self.column = 1
        self._after_cr = False

    def pass_by(self, text: bytes) -> None:
        """Go on behind *text*, which may end within a character or between CR and LF."""
        if not text:
            return
        last = text.rfind(b"\n")
        if last >= 0:
            self.line += text.count(b"\n") - (self._after_cr and text.startswith(b"\n"))
        if b"\r" in text:
            self.line += text.count(b"\r") - text.count(b"\r\n")
            last = max(last, text.rfind(b"\r"))
        self._after_cr = text.endswith(b"\r")
        if last >= 0:
            self.column = 1
            text = text[last + 1 :]
        self.column += len(text if text.isascii() else text.translate(None, _INSIDE_CHARACTER))


class Splitter:
    """One pass over an array; holds no more than an element up to the cap, and a block."""

    def __init__(self, display: str) -> None:
        self._display = display
        self._cursor = Cursor()
        """At ``_begin``."""
        self._text = b""
        self._offset = 0
        """Bytes of the stream before ``_text``."""
        self._begin = 0
        """Where the element in work begins in ``_text``."""
        self._at = 0
        """How far ``_text`` has been looked through."""
        self._depth = 0
        self._in_string = False
        self._ended = False
        self._any = False
        """Something came behind the opening bracket."""
        self._over: Element | None = None
        """The element in work, if it is over the cap: then its bytes are passed by, not held."""
        self._over_bytes = 0

    def split(self, blocks: Iterable[bytes]) -> Iterator[list[Element]]:
        """The elements, a list for each block; none from white space alone.

        Raises:
            WrongInput: this is no array, it is not closed, or something stands behind it.
        """
        for block in blocks:
            if self.starts(block) and (found := self._cut()):
                yield found
            self._let_go()
        if self._depth:
            raise self._not_closed()

    def starts(self, block: bytes) -> bool:
        """Whether an array has begun with *block*; False while there is only white space.

        Raises:
            WrongInput: something else has.
        """
        self._text += block
        if self._depth == 0:
            self._skip_space()
            if self._begin == len(self._text):
                self._let_go()
                return False
            if self._ended or self._text[self._begin] != _ARRAY:
                raise self._no_array()
            self._depth = 1
            self._at += 1
            self._pass_by()
        return True

    def _cut(self) -> list[Element]:
        """All elements that end in the text that has come."""
        found = []
        while self._scan():
            byte = self._text[self._at]
            if self._depth == 1 and byte in (_COMMA, _ARRAY_END):
                if byte == _COMMA or self._any or self._over or self._at > self._begin:
                    found.append(self._element())
                self._any = True
                self._at += 1
                self._pass_by()
                if byte == _ARRAY_END:
                    self._depth, self._ended = 0, True
                    self.starts(b"")
                    return found
                continue
            if byte == _QUOTE:
                self._in_string = True
            elif byte in _OPENING:
                self._depth += 1
            elif self._depth > 1:
                self._depth -= 1
            self._at += 1
        return found

    def _scan(self) -> bool:
        """Go on to a byte that matters; False if none has come yet."""
        if self._at == self._begin and self._over is None:
            self._skip_space()
        if self._in_string:
            self._at = _end(_IN_STRING, self._text, self._at)
            # A backslash at the very end waits for what it escapes.
            if self._at == len(self._text) or self._text[self._at] == _BACKSLASH:
                return False
            self._in_string = False
            self._at += 1
        pattern = _TO_CUT if self._depth == 1 else _TO_BRACKET
        self._at = _end(pattern, self._text, self._at)
        return self._at < len(self._text)

    def _element(self) -> Element:
        if self._over is None and self._at - self._begin > LINE_CAP:
            self._over = self._as_over()
        line, column = self._cursor.line, self._cursor.column
        if self._over is None:
            return Element(self._text[self._begin : self._at].rstrip(_SPACES), line, column)
        over, length = self._over, self._over_bytes + self._at - self._begin
        self._over, self._over_bytes = None, 0
        return Element(over.raw, over.line, over.column, over.offset, length)

    def _as_over(self) -> Element:
        head = self._text[self._begin : self._begin + _HEAD]
        return Element(head, self._cursor.line, self._cursor.column, self._offset + self._begin)

    def _let_go(self) -> None:
        """Hold on only to what the next block may need."""
        if self._over is None and len(self._text) - self._begin > LINE_CAP:
            self._over = self._as_over()
        if self._over is not None:
            self._over_bytes += self._at - self._begin
            self._pass_by()
        self._offset += self._begin
        self._at -= self._begin
        self._text = self._text[self._begin :]
        self._begin = 0

    def _skip_space(self) -> None:
        self._at = _end(_SPACE, self._text, self._begin)
        self._pass_by()

    def _pass_by(self) -> None:
        self._cursor.pass_by(self._text[self._begin : self._at])
        self._begin = self._at

    def _no_array(self) -> WrongInput:
        start = self._text[self._begin : self._begin + 4 * _SHOWN].decode("utf-8", "replace")
        shown = printable(start[:_SHOWN])
        where = f"{self._display}:{self._cursor.line}:{self._cursor.column}"
        if self._ended:
            return WrongInput(
                f"{self._display} goes on behind the end of its list: '{shown}'",
                where=where,
                how="close the list behind its last row, and leave nothing below it",
            )
        if start.startswith("{"):
            return WrongInput(
                f"{self._display} holds an object, not a list of objects",
                where=where,
                why="a .json file of prompts is one list: [{…}, {…}]",
                how="call it something.jsonl if it has one object on each line; or take the list "
                "out of it: jq '.rows' FILE > prompts.json",
            )
        return WrongInput(
            f"{self._display} is no list of objects: it begins with '{shown}'",
            where=where,
            why="a .json file of prompts is one list: [{…}, {…}]",
            how="write it as one, or call it .csv, .tsv or .jsonl if it is that",
        )

    def _not_closed(self) -> WrongInput:
        over = self._over
        place = over or self._cursor
        began = over is not None or self._at > self._begin
        return WrongInput(
            f"{self._display} is cut off, or a bracket is missing: its list is never closed",
            where=f"{self._display}:{place.line}:{place.column}",
            why="the row that begins there has no end" if began else None,
            how="look there for a bracket or quote too few, or write the file again",
        )


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Where *pattern*, which matches anywhere, ends."""
    match = pattern.match(text, at)
    return match.end() if match else at
