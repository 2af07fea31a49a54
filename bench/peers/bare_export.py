"""The floor of an export: bare_export.py STORE FILE writes the documented view, a line a row."""

import json
import sqlite3
import sys


def main(store: str, out: str) -> None:
    """Select and write."""
    db = sqlite3.connect(store)
    rows = db.execute("SELECT * FROM results_v1 ORDER BY task_id")
    names = [column[0] for column in rows.description]
    with open(out, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
