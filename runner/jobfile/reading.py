"""The tables of a job file, from what `tomllib` gives to checked values, errors in our words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runner.jobfile import values
from runner.jobfile.findings import Findings, dotted, nearest, shown
from runner.jobfile.positions import Path
from runner.jobfile.schema import (
    TABLES,
    InputTable,
    JobTable,
    LimitsTable,
    OutputTable,
    PromptTable,
    RequestTable,
    RetryTable,
    RunTable,
    Table,
    TargetTable,
)

AnyTable = TypeVar("AnyTable", bound=Table)

_WORDS: Final = {
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty",
}


def read_table(model: type[AnyTable], raw: object, at: Path, findings: Findings) -> AnyTable | None:
    """*raw* as a *model*; each mistake goes to *findings*.

    A table with mistakes is returned without the keys that hold them, so that what is wrong
    with the others comes to light as well; None if it cannot stand without them.
    """
    if not isinstance(raw, dict):
        header = f"[[{at[0]}]]" if len(at) > 1 else f"[{dotted(at)}]"
        findings.add(at, f"must be a table, such as {header}, got {shown(raw)}")
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        _report(model, detail, at, findings)
    faulty = {detail["loc"][0] for detail in details}
    try:
        return model.model_validate({key: raw[key] for key in raw if key not in faulty})
    except ValidationError:
        return None


def _report(model: type[Table], detail: ErrorDetails, at: Path, findings: Findings) -> None:
    key = (*at, *detail["loc"])
    kind = detail["type"]
    if kind == "too_short" and detail["input"]:
        # Each thing in it is wrong, and told of: left out, they make it empty.
        return
    if kind == "extra_forbidden":
        findings.add(key, f"unknown setting{_meant(model, str(detail['loc'][-1]))}")
    elif kind == "missing":
        findings.add(key, "is missing")
    elif kind == values.SAID:
        findings.add(key, detail["msg"])
    else:
        pattern = _WORDS.get(kind)
        words = pattern.format(**detail.get("ctx", {})) if pattern else detail["msg"]
        findings.add(key, f"{words}, got {shown(detail['input'])}")


def _meant(model: type[Table], word: str) -> str:
    """What a person who wrote *word* in a table *model* probably wanted."""
    own = list(model.model_fields)
    if model is JobTable:
        own += TABLES
    hint = nearest(word, own)
    if hint:
        return hint
    for header, table in TABLES.items():
        # A word of another table has to be very like, or any word would remind of some setting.
        elsewhere = nearest(word, table.model_fields, cutoff=0.85)
        if elsewhere and table is not model:
            brackets = "[[targets]]" if header == "targets" else f"[{header}]"
            return f"{elsewhere.removesuffix('?')} in {brackets}?"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """A job file's tables; what is missing or broken has its defaults where there are any."""

    top: JobTable | None
    """None if it has no usable name; that has been reported then, as for *input*."""
    run: RunTable
    input: InputTable | None
    prompt: PromptTable
    request: RequestTable
    targets: dict[int, TargetTable]
    """Those that could be read, by their number in the file."""
    limits: LimitsTable
    retry: RetryTable
    output: OutputTable


def read_tables(raw: Mapping[str, object], findings: Findings) -> Tables:
    """The whole document *raw*, as `tomllib` gives it; each mistake goes to *findings*."""

    def table(model: type[AnyTable], header: str) -> AnyTable | None:
        return read_table(model, raw.get(header, {}), (header,), findings)

    above = {key: value for key, value in raw.items() if key not in TABLES}
    return Tables(
        top=read_table(JobTable, above, (), findings),
        run=table(RunTable, "run") or RunTable(),
        input=table(InputTable, "input"),
        prompt=table(PromptTable, "prompt") or PromptTable(),
        request=table(RequestTable, "request") or RequestTable(),
        targets=_targets(raw.get("targets"), findings),
        limits=table(LimitsTable, "limits") or LimitsTable(),
        retry=table(RetryTable, "retry") or RetryTable(),
        output=table(OutputTable, "output") or OutputTable(),
    )


def _targets(raw: object, findings: Findings) -> dict[int, TargetTable]:
    if raw is None or raw == []:
        findings.add(("targets",), "is missing; a job needs at least one [[targets]]")
        return {}
    if not isinstance(raw, list):
        findings.add(("targets",), f"must be written [[targets]], got {shown(raw)}")
        return {}
    read = {
        number: read_table(TargetTable, table, ("targets", number), findings)
        for number, table in enumerate(raw)
    }
    return {number: table for number, table in read.items() if table is not None}
