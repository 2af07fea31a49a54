"""Reads back what an export wrote."""

import csv
import json
from pathlib import Path
from typing import Any

BOTH = ("csv", "jsonl")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
