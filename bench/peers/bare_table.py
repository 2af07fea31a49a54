"""The floor of a load: bare_table.py FILE N puts the rows of a load into a table without anything.

Nothing is read, checked or keyed, and there is no index: ``executemany`` in one transaction. Prints
``{"seconds": …}``, of that alone.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator


def rows(number: int) -> Iterator[tuple[int, str]]:
    """The rows that a load reads from its file: those of ``bench.processes.prompt``."""
    for each in range(number):
        words = f"Question {each}: which of the vendors would you choose, and why? "
        yield each, f"{each} {(words * 8)[: 40 + each * 7919 % 400]}"


def main(path: str, number: int) -> None:
    """Insert and print."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE prompts (id INTEGER, prompt TEXT)")
    began = time.monotonic()
    db.execute("BEGIN")
    db.executemany("INSERT INTO prompts VALUES (?, ?)", rows(number))
    db.execute("COMMIT")
    print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
