"""Whether the input has the columns that a job speaks of."""

from collections.abc import Sequence

from runner.inputs.table import Table
from runner.jobfile.findings import Findings, listed, nearest, shown
from runner.jobfile.positions import Path
from runner.jobfile.schema import REQUEST_FIELDS, InputTable, PromptTable


def check_parameters(spec: InputTable, prompt: PromptTable, findings: Findings) -> None:
    """Columns that are to override request fields must bear the name of one."""
    for number, column in enumerate(spec.parameters):
        at: Path = ("input", "parameters", number)
        if column not in REQUEST_FIELDS:
            hint = nearest(column, REQUEST_FIELDS) or f"; there are {', '.join(REQUEST_FIELDS)}"
            findings.add(at, f"{shown(column)} is no request field{hint}")
        elif column == "message_chain" and prompt.message_chain:
            findings.add(at, "message_chain is read as [prompt] message_chain already")


def wanted_columns(spec: InputTable, prompt: PromptTable) -> tuple[str, ...]:
    """All columns that *spec* and *prompt* name."""
    return tuple(dict.fromkeys(name for _at, name in _wanted(spec, prompt)))


def check_columns(table: Table, spec: InputTable, prompt: PromptTable, findings: Findings) -> None:
    """Every column named in *spec* and *prompt* must be in the header of *table*.

    JSON has no header: there each row is looked at when it is read.
    """
    columns = table.columns
    if columns is None:
        return
    if prompt.message_chain is not None:
        findings.add(
            ("prompt", "message_chain"), "needs a JSON input (.jsonl, .json): a CSV cell is text"
        )
    for at, name in _wanted(spec, prompt):
        if name not in columns:
            findings.add(at, no_column(name, table.display, columns))


def no_column(name: str, display: str, columns: Sequence[str]) -> str:
    """What there is to say where the column *name* is not among *columns*."""
    there = f"has no column {shown(name)}{nearest(name, columns)}"
    return f"{display} {there} (columns: {listed(columns)})"


def _wanted(spec: InputTable, prompt: PromptTable) -> list[tuple[Path, str]]:
    """The columns that the job names, each with the key that names it."""
    # Where no column is named, it is the input file that does not fit the default.
    named = "column" in prompt.model_fields_set
    wanted: list[tuple[Path, str]] = [
        (("prompt", "column") if named else ("input", "file"), prompt.column)
    ]
    wanted += [(("input", "key", number), name) for number, name in enumerate(spec.key)]
    wanted += [
        (("input", "parameters", number), name)
        for number, name in enumerate(spec.parameters)
        if name in REQUEST_FIELDS
    ]
    return wanted
