"""Rows put into a table and read from it, many in one step of SQLite.

executemany, fetchall .... a step for each row, and after each of them Python's lock is waited for:
                           while the loop is busy some thirty times as long as the step takes
insert_many .............. a step for fifty, during which other threads of this process go on
select_many .............. one step for all
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, Final

import msgspec

_AT_ONCE: Final = 50
"""One statement of this size is kept prepared; what is left over goes row by row."""


def insert_many(db: sqlite3.Connection, into: str, rows: Iterable[Sequence[object]]) -> None:
    """Insert *rows*, all of one width. *into*: the statement up to its values, a literal."""
    each = iter(rows)
    while part := list(islice(each, _AT_ONCE)):
        if len(part) == _AT_ONCE:
            db.execute(_statement(into, len(part[0]), _AT_ONCE), list(chain.from_iterable(part)))
        else:
            db.executemany(_statement(into, len(part[0]), 1), part)


@cache
def _statement(into: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{into} VALUES {', '.join([row] * rows)}"


Row = list[Any]


def select_many(
    db: sqlite3.Connection,
    columns: str,
    rest: str,
    values: Sequence[object] | Mapping[str, object] = (),
) -> list[Row]:
    """The rows of ``SELECT columns rest``, in no order. Texts and whole numbers only: JSON has no
    blobs, rounds other numbers, and would take in what is JSON itself."""
    (found,) = db.execute(
        f"SELECT json_group_array(json_array({columns})) {rest}", values
    ).fetchone()
    return _rows.decode(found)


_rows: Final = msgspec.json.Decoder(list[Row])
