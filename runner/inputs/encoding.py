"""Which encoding a file is in, and its bytes as UTF-8.

Never guessed in silence: UTF-8 (with or without BOM) and UTF-16 with a BOM are read, everything
else only when it is asked for by name. A file that is in something else is refused with the
place of the first byte that shows it, a suggestion, and how two lines would then read.
"""

import codecs
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from encodings.aliases import aliases
from typing import Final, NoReturn

from runner.errors import Problem, WrongInput
from runner.inputs.gunzip import MAGIC
from runner.inputs.origin import Origin

UTF_8: Final = "utf-8"

_SAMPLE: Final = 64 * 1024
"""Bytes that a suggestion is based on."""
_SHOWN: Final = 100
"""Characters of a sample line in a message."""
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
_COMMON: Final = ("cp1252", "mac_roman", "shift_jis")
_BINARY: Final = (
    (b"PK\x03\x04", "a spreadsheet or another ZIP archive", "save it as CSV in UTF-8"),
    (MAGIC, "compressed with gzip", "give it a name that ends in .gz: then it is unpacked"),
    (b"%PDF", "a PDF document", "save its text as CSV in UTF-8"),
)


def choose_encoding(head: bytes, wanted: str | None, display: str) -> str:
    """Python's name of the encoding to read a file in, by its first bytes or as *wanted*.

    Raises:
        WrongInput: no encoding is called *wanted*, or the file is plainly in none that is read.
    """
    known = None if wanted is None else _known(wanted)
    for magic, kind, how in _BINARY:
        if head.startswith(magic):
            raise WrongInput(f"{display} is {kind}, not a text file", how=how)
    if known not in (None, UTF_8) and head.startswith(codecs.BOM_UTF8):
        raise WrongInput(
            f"{display} begins with the byte order mark of UTF-8, so it is not {known}",
            how="leave --encoding out for it",
        )
    if known is not None:
        return known
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise WrongInput(
            f"{display} is in UTF-32",
            how="the same command with --encoding utf-32, or save the file as UTF-8",
        )
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text of any European language in UTF-16 has a zero in almost every second byte.
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = head[first::2].count(0), head[1 - first :: 2].count(0)
        if zeros > len(head) // 4 and zeros > 10 * others:
            raise WrongInput(
                f"{display} is not UTF-8: it looks like UTF-16 without a byte order mark",
                how=f"the same command with --encoding {name}, or save the file as UTF-8",
            )
    return UTF_8


def _known(wanted: str) -> str:
    try:
        name = codecs.lookup(wanted).name
        codecs.getincrementaldecoder(name)
        # Python's codecs between bytes and bytes ("hex", "zlib") are refused only here.
        b"a".decode(name, "replace")
    except (LookupError, UnicodeError, ValueError):
        names = {name.replace("_", "-") for name in (*aliases, *aliases.values())}
        near = difflib.get_close_matches(wanted.lower().replace("_", "-"), sorted(names), n=1)
        raise WrongInput(
            f"there is no text encoding called {wanted!r}",
            why=f"did you mean {near[0]}?" if near else None,
            how="use one of Python's names: utf-8, utf-16, cp1252, cp1250, shift_jis, mac_roman",
        ) from None
    return UTF_8 if name == "utf-8-sig" else name


def to_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text as UTF-8 without a BOM; blocks that are UTF-8 already pass unread.

    Raises:
        UnicodeError: the text is not in *encoding* (never for UTF-8: its lines are checked when
            they are read). ``refuse_encoding`` says where.
    """
    encoded = blocks if encoding == UTF_8 else _transcoded(blocks, encoding)
    first = True
    for block in encoded:
        rest = block.removeprefix(codecs.BOM_UTF8) if first else block
        first = False
        if rest:
            yield rest


def _transcoded(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    for block in blocks:
        if text := decoder.decode(block):
            yield text.encode()
    if text := decoder.decode(b"", final=True):
        yield text.encode()


@dataclass(frozen=True, slots=True)
class _BadByte:
    offset: int
    """From 0, in the file."""
    value: int
    line: int
    column: int
    sample: bytes
    """What surrounds it: from the start of its line, or from a little before it."""


def refuse_encoding(source: Origin, encoding: str) -> NoReturn:
    """Find the first byte of the file that is not *encoding*, and refuse the file.

    Reads the file again from its start; to be called once reading it has failed.

    Raises:
        WrongInput: always.
    """
    name = "UTF-8" if encoding == UTF_8 else encoding
    what = f"{source.display} is not {name}"
    try:
        bad = _first_bad_byte(source, encoding)
    except UnicodeError:
        # No byte in particular: a byte order mark is missing.
        bad = None
    unmarked = encoding in ("utf-16", "utf-32")
    # From Python 3.13 on it is the first byte that is wrong then.
    if bad is None or (unmarked and bad.offset == 0):
        raise WrongInput(
            what,
            why="it does not begin with a byte order mark" if unmarked else None,
            how=f"the same command with --encoding {encoding}-le, or save the file as UTF-8"
            if unmarked
            else "save the file as UTF-8, or name its encoding with --encoding",
        )
    # No other encoding is mistaken for these two, so there is nothing sensible to suggest.
    guess = None if encoding.startswith(("utf-16", "utf-32")) else _suggest(bad.sample)
    byte = f"byte {bad.offset} (0x{bad.value:02X})"
    raise WrongInput(
        what,
        problems=[Problem(source.display, bad.line, bad.column, f"{byte} is not {name}")],
        where=f"{source.display}:{bad.line}, {byte}",
        why=guess and f"it looks like {guess}; {_readings(bad, guess)}",
        how=f"the same command with --encoding {guess}, or save the file as UTF-8"
        if guess
        else "save the file as UTF-8, or name its encoding with --encoding",
    )


def _first_bad_byte(source: Origin, encoding: str) -> _BadByte | None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    cursor = _Cursor()
    offset, before = 0, b""
    blocks = source.read_again()
    while True:
        block = next(blocks, b"")
        state = decoder.getstate()
        held = state[0]
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            decoder.setstate(state)
            cursor.pass_by(decoder.decode(block[: max(0, error.start - len(held))]))
            at = offset - len(held) + error.start
            window = before + block + next(blocks, b"")
            return _BadByte(
                offset=at,
                value=(held + block)[error.start],
                line=cursor.line,
                column=cursor.column,
                sample=_from_line_start(window, at - (offset - len(before))),
            )
        if not block:
            return None
        cursor.pass_by(text)
        offset += len(block)
        before = (before + block)[-_SAMPLE:]


class _Cursor:
    """Line and column behind all the text that was passed by."""

    def __init__(self) -> None:
        self.line = 1
        self.column = 1
        self._after_cr = False
        self._fresh = True

    def pass_by(self, text: str) -> None:
        if self._fresh and text:
            self._fresh = False
            text = text.removeprefix("\ufeff")
        ends = [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
        second_half = self._after_cr and text.startswith("\n")
        self.line += len(ends) - second_half
        self.column = len(text) - ends[-1] + 1 if ends else self.column + len(text)
        self._after_cr = text.endswith("\r") if text else self._after_cr


def _from_line_start(window: bytes, at: int) -> bytes:
    """Up to ``_SAMPLE`` bytes of *window*, from the start of the line that *at* is on."""
    start = max(window.rfind(b"\n", 0, at), window.rfind(b"\r", 0, at)) + 1
    start = max(start, at - _SHOWN // 2)
    return window[start : start + _SAMPLE]


def _suggest(sample: bytes) -> str | None:
    # Imported only here: nobody whose files are in order should wait for it.
    from charset_normalizer import from_bytes

    # Control characters would make it doubt that this is text at all.
    best = from_bytes(sample.translate(None, _CONTROLS)).best()
    if best is None or best.encoding in ("ascii", "utf_8"):
        return None
    # Relatives often read a sample alike: then the one that people have is the better guess.
    for common in _COMMON:
        if sample.decode(common, "replace") == sample.decode(best.encoding, "replace"):
            return common
    return codecs.lookup(best.encoding).name


def _readings(bad: _BadByte, guess: str) -> str:
    """The first line in doubt and the next that is, as they would read in *guess*."""
    lines = bad.sample.splitlines()
    in_doubt = [i for i, line in enumerate(lines) if not line.isascii()][:2]
    shown = [f'line {bad.line + i} would read: "{_shown(lines[i], guess)}"' for i in in_doubt]
    return "; ".join(shown)


def _shown(line: bytes, encoding: str) -> str:
    text = line.decode(encoding, "replace")
    return printable(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def printable(text: str) -> str:
    """*text* for a message on a terminal: what is not printable as Python would write it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
