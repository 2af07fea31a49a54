"""Reads back what an export wrote."""

import csv
import json
import re
from pathlib import Path
from typing import Any

BOTH = ("csv", "jsonl")


def as_written(cell: str) -> str:
    """The text that became *cell*, by the rule that the documentation gives."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r]", cell) else cell


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
