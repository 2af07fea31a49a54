"""Which format a file is in: by the end of its name; of standard input, by how it begins."""

import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from runner.errors import WrongInput
from runner.inputs.csv_rows import CsvReader
from runner.inputs.json_array_rows import JsonArrayReader
from runner.inputs.jsonl_rows import JsonlReader
from runner.inputs.reader import Reader

PACKED: Final = ".gz"

MakeReader = Callable[[str, Iterable[bytes], str | None, Reader | None], Reader]
"""From what messages call the file, its UTF-8 blocks, the delimiter that the user insists on and
the reader of the first file, where this is a later one."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write rows."""

    name: str
    """``csv``, ``tsv``, ``jsonl`` or ``json``."""
    family: str
    """What people call its kind; files of one kind can be read as one table."""
    rejects: str
    """The end of a name for a file of its rejects."""
    make_reader: MakeReader


def _csv(display: str, head: Iterable[bytes], delimiter: str | None, like: Reader | None) -> Reader:
    return CsvReader(display, head, delimiter, like=like)


def _tsv(display: str, head: Iterable[bytes], delimiter: str | None, like: Reader | None) -> Reader:
    return CsvReader(display, head, delimiter, tabs=True, like=like)


def _jsonl(
    display: str, _head: Iterable[bytes], delimiter: str | None, _like: Reader | None
) -> Reader:
    _refuse_delimiter(display, delimiter)
    return JsonlReader(display)


def _json(
    display: str, head: Iterable[bytes], delimiter: str | None, _like: Reader | None
) -> Reader:
    _refuse_delimiter(display, delimiter)
    return JsonArrayReader(display, head)


def _refuse_delimiter(display: str, delimiter: str | None) -> None:
    if delimiter is not None:
        raise WrongInput(f"{display} is JSON, which has no delimiter", how="leave --delimiter out")


FORMATS: Final = {
    ".csv": Format("csv", "CSV", ".csv", _csv),
    ".tsv": Format("tsv", "CSV", ".tsv", _tsv),
    ".jsonl": Format("jsonl", "JSON", ".jsonl", _jsonl),
    ".json": Format("json", "JSON", ".jsonl", _json),
}
"""By the end of the file's name, in lower case."""

SUFFIXES: Final = (*FORMATS, *(suffix + PACKED for suffix in FORMATS))
"""How the names of prompt files end, in lower case."""


def is_prompt_file(name: str) -> bool:
    """Whether a file so called can be read as prompts, by the end of its name."""
    return name.lower().endswith(SUFFIXES)


def is_packed(name: str) -> bool:
    """Whether a file called *name* is gzip."""
    return name.lower().endswith(PACKED)


def format_by_name(name: str, display: str) -> Format:
    """The format of a file called *name*, packed or not.

    Raises:
        WrongInput: its name says nothing that is known.
    """
    plain = name.lower().removesuffix(PACKED)
    for suffix, found in FORMATS.items():
        if plain.endswith(suffix):
            return found
    raise WrongInput(
        f"{display}: what kind of file this is cannot be told from its name",
        why=f"the name of a prompt file ends in {', '.join(FORMATS)}, or in one of these and "
        f"{PACKED}",
        how="rename it, or save it in one of these formats",
    )


def format_by_start(blocks: Iterable[bytes]) -> Format:
    """The format of a text without a name, by its first character; *blocks* are its UTF-8.

    A bracket begins a list, a brace JSON Lines; anything else, and nothing, is CSV.
    """
    for block in blocks:
        text = block.removeprefix(codecs.BOM_UTF8).lstrip()
        if text:
            return FORMATS[{b"[": ".json", b"{": ".jsonl"}.get(text[:1], ".csv")]
    return FORMATS[".csv"]
