"""What stands in cells of real files and breaks programs: very long texts, NUL, and no text."""

import json
from pathlib import Path

import pytest

from tests.inputs.reading import complaints, read, write, written_out

LONG = 'why is the sky blue, and "how" – é? ' * 6_000
"""Some 200 KB, more than Python's csv module takes unasked."""


def _as(name: str, prompt: str) -> str:
    quoted = '"' + prompt.replace('"', '""') + '"'
    second = {"id": "2", "prompt": "how?"}
    return {
        "p.csv": f"id,prompt\n1,{quoted}\n2,how?\n",
        "p.tsv": f"id\tprompt\n1\t{quoted}\n2\thow?\n",
        "p.jsonl": f"{json.dumps({'id': '1', 'prompt': prompt})}\n{json.dumps(second)}\n",
        "p.json": json.dumps([{"id": "1", "prompt": prompt}, second]),
    }[name]


NAMES = pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl", "p.json"])


@NAMES
def test_a_cell_of_200_kb_is_read(tmp_path: Path, name: str) -> None:
    """Whole documents are asked about; whether that is too long for a prompt, the job decides."""
    assert len(LONG.encode()) > 200_000
    rows, rejects = read(write(tmp_path / name, _as(name, LONG)))
    assert [row.cells["prompt"] for row in rows] == [LONG, "how?"]
    assert not rejects


@NAMES
def test_a_nul_costs_its_row_and_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    """No store of ours keeps it, and a prompt cut there would be another prompt."""
    rows, rejects = read(write(tmp_path / name, _as(name, "wh\0y?")))
    assert [row.cells["prompt"] for row in rows] == ["how?"]
    [complaint] = complaints(rejects)
    line = 2 if name in ("p.csv", "p.tsv") else 1
    assert complaint.startswith(f"{name}:{line}:")
    assert "NUL" in complaint
    again, _ = read(write(tmp_path / "again.jsonl", '{"id": 1}\n' + written_out(rejects).decode()))
    assert len(again) == 1


@NAMES
def test_an_empty_cell_is_a_cell(tmp_path: Path, name: str) -> None:
    """Whether a prompt may be empty is the job's to say, with the place of the cell."""
    rows, rejects = read(write(tmp_path / name, _as(name, "")))
    assert rows[0].cells["prompt"] == ""
    assert not rejects
    assert rows[0].place("prompt").line == rows[0].line
