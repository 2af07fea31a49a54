"""What the tests of ``runner.inputs`` share."""

from pathlib import Path

from runner.inputs.rows import Reject, Row
from runner.inputs.table import Table, open_table


def write(path: Path, content: bytes | str) -> Path:
    """A file that holds exactly *content*, text in UTF-8."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def all_of(table: Table, *, size: int = 1000) -> tuple[list[Row], list[Reject]]:
    """Everything that one pass yields."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    for chunk in table.chunks(size):
        rows += chunk.rows
        rejects += chunk.rejects
    return rows, rejects


def read(
    path: Path, *, encoding: str | None = None, delimiter: str | None = None
) -> tuple[list[Row], list[Reject]]:
    """Good and bad rows of the file at *path*, which messages call by its bare name."""
    table = open_table(path, encoding=encoding, delimiter=delimiter, display=path.name)
    return all_of(table)


def complaints(rejects: list[Reject]) -> list[str]:
    """The problems as printed."""
    return [str(problem) for reject in rejects for problem in reject.problems]


def written_out(rejects: list[Reject]) -> bytes:
    """What ``--skip-bad FILE`` would write."""
    return b"".join(piece for reject in rejects for piece in reject.pieces())
