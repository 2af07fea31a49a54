"""Whether the input has the columns that a job speaks of, and which of them name a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.inputs.table import Table
from runner.jobfile.findings import Findings, listed, nearest, shown
from runner.jobfile.positions import Path
from runner.jobfile.schema import REQUEST_FIELDS, InputTable, PromptTable, TargetTable
from runner.jobfile.template import Template

_TEMPLATE: Path = ("prompt", "template")


@dataclass(frozen=True, slots=True)
class Named:
    """A column that the job file names."""

    at: Path
    """The key that names it."""
    column: str
    offset: int | None = None
    """Where in the text of that key, if it stands inside one."""

    def report(self, findings: Findings, message: str) -> None:
        if self.offset is None:
            findings.add(self.at, message)
        else:
            findings.add_inside(self.at, self.offset, message)


def check_parameters(spec: InputTable, prompt: PromptTable, findings: Findings) -> None:
    """Columns that are to override request fields must bear the name of one."""
    for number, column in enumerate(spec.parameters):
        at: Path = ("input", "parameters", number)
        if column not in REQUEST_FIELDS:
            hint = nearest(column, REQUEST_FIELDS) or f"; there are {', '.join(REQUEST_FIELDS)}"
            findings.add(at, f"{shown(column)} is no request field{hint}")
        elif column == "message_chain" and prompt.message_chain:
            findings.add(at, "message_chain is read as [prompt] message_chain already")


def named_columns(
    spec: InputTable,
    prompt: PromptTable,
    template: Template | None,
    targets: Mapping[int, TargetTable],
) -> list[Named]:
    """All columns that the job names and that either of its tables may have."""
    named: list[Named] = []
    if template is not None:
        named += [Named(_TEMPLATE, gap.column, gap.offset) for gap in template.gaps]
    elif prompt.template is None:
        # Where no column is named, it is the input file that does not fit the default.
        written = "column" in prompt.model_fields_set
        named.append(Named(("prompt", "column") if written else ("input", "file"), prompt.column))
    if prompt.follow_up is not None:
        named.append(Named(("prompt", "follow_up"), prompt.follow_up))
    named += _keys(("input", "key"), spec.key)
    if spec.questions is not None:
        named += _keys(("input", "questions", "key"), spec.questions.key)
    named += [
        Named(("input", "parameters", number), name)
        for number, name in enumerate(spec.parameters)
        if name in REQUEST_FIELDS
    ]
    return named + [
        Named(("targets", number, "where", column), column)
        for number, target in targets.items()
        for column in target.where or ()
    ]


def _keys(at: Path, columns: Iterable[str]) -> list[Named]:
    return [Named((*at, number), name) for number, name in enumerate(columns)]


def check_columns(
    table: Table, named: Sequence[Named], prompt: PromptTable, findings: Findings
) -> None:
    """Every column named must be in the header of *table*, both headers where there are two.

    JSON has no header: there each row is looked at when it is read.
    """
    columns = table.columns
    if columns is None:
        return
    if prompt.message_chain is not None:
        findings.add(
            ("prompt", "message_chain"), "needs a JSON input (.jsonl, .json): a CSV cell is text"
        )
    for name in named:
        if name.column not in columns:
            name.report(findings, no_column(name.column, table.display, columns))


def check_keys(spec: InputTable, first: Table, second: Table, findings: Findings) -> None:
    """Each table's key must be of that table's own columns."""
    assert spec.questions is not None
    for table, other, at, key in (
        (first, second, ("input", "key"), spec.key),
        (second, first, ("input", "questions", "key"), spec.questions.key),
    ):
        for name in _keys(at, key):
            columns = table.columns or ()
            if columns and name.column not in columns and name.column in (other.columns or ()):
                message = f"{shown(name.column)} is a column of {other.display}"
                findings.add(name.at, f"{message}, not of {table.display}")


def key_columns(
    spec: InputTable,
    used: tuple[str, ...],
    headers: tuple[tuple[str, ...] | None, tuple[str, ...] | None],
    findings: Findings,
) -> tuple[str, ...]:
    """What names a row for ever: the key columns, or *used*, those that the prompt uses.

    Of two tables each part by itself, so that a key for the one alone does not make all rows of
    the other the same. *headers* are those of the first and the second, None where there is none.
    """
    second = spec.questions
    if second is None:
        return spec.key or used
    if not spec.key and not second.key:
        return used
    if not (spec.key and second.key) and headers == (None, None):
        lacking: Path = ("input", "key") if not spec.key else ("input", "questions")
        findings.add(
            lacking, "needs a key too: without headers nobody can tell whose column is whose"
        )
        return used
    first_columns, second_columns = headers
    of_second = [
        name in second_columns if second_columns is not None else name not in (first_columns or ())
        for name in used
    ]
    own = tuple(name for name, theirs in zip(used, of_second, strict=True) if not theirs)
    others = tuple(name for name, theirs in zip(used, of_second, strict=True) if theirs)
    return tuple(dict.fromkeys((*(spec.key or own), *(second.key or others))))


def no_column(name: str, display: str, columns: Sequence[str]) -> str:
    """What there is to say where the column *name* is not among *columns*."""
    there = f"has no column {shown(name)}{nearest(name, columns)}"
    return f"{display} {there} (columns: {listed(columns)})"
