"""A job's tables put together: files found, columns there, targets sound, money in nano-dollars."""

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from runner import money
from runner.inputs import stdin
from runner.inputs.table import together
from runner.jobfile.columns import check_columns, check_parameters, wanted_columns
from runner.jobfile.findings import Findings, shown
from runner.jobfile.inputs import find_files, look_at
from runner.jobfile.job import InputSpec, Job, Overrides, PromptSpec
from runner.jobfile.reading import Tables
from runner.jobfile.schema import Format
from runner.jobfile.targets import build_targets, left_out


@dataclass(frozen=True, slots=True)
class Folders:
    """What relative paths of a job are relative to; both absolute."""

    home: Path
    """For files that are read: where the job file lies."""
    output: Path
    """For ``[output] dir``: the same, but for a shipped job the workspace's ``jobs``."""
    input_display: str | None = None
    """What messages call the input, where a person named it on the command line."""


def assemble(tables: Tables, folders: Folders, given: Overrides, findings: Findings) -> Job:
    """The job that *tables* describe, *given* winning over them.

    Raises:
        WrongInput: with all that was found wrong, here and when the tables were read.
    """
    targets, notes = build_targets(tables.targets, tables.request, findings)
    spec = _input(tables, folders, given, findings)
    limits = tables.limits
    budget = _nanos(limits.budget_usd, given.budget_usd, "budget", findings)
    hold = _nanos(limits.max_hold_usd, given.max_hold_usd, "hold limit", findings)
    formats = _formats(tables, given, findings)
    if findings.any or tables.top is None or tables.input is None or spec is None:
        raise findings.error()
    prompt = PromptSpec(
        column=tables.prompt.column,
        message_chain=tables.prompt.message_chain,
        samples=tables.prompt.samples,
    )
    return Job(
        name=tables.top.name,
        path=findings.path,
        description=tables.top.description,
        key_template=tables.run.key,
        input=spec,
        prompt=prompt,
        targets=targets,
        key_columns=tables.input.key or prompt.columns,
        tries=tables.retry.tries,
        budget_nanousd=budget,
        max_hold_nanousd=hold,
        output_dir=_output_dir(tables, folders, given),
        formats=formats,
        notes=(*notes, *left_out(targets, "column", spec.parameters)),
    )


def _input(
    tables: Tables, folders: Folders, given: Overrides, findings: Findings
) -> InputSpec | None:
    if tables.input is None:
        return None
    table = tables.input
    check_parameters(table, tables.prompt, findings)
    found = find_files(table.file, folders.home, findings)
    files = tuple(file.as_input(folders.input_display) for file in found)
    spec = InputSpec(
        files=files,
        display=together([file.display for file in files]) if files else stdin.DISPLAY,
        encoding=given.encoding or table.encoding,
        delimiter=given.delimiter or table.delimiter,
        columns=wanted_columns(table, tables.prompt),
        parameters=table.parameters,
    )
    opened = look_at(spec, found, findings)
    if opened is not None:
        check_columns(opened, table, tables.prompt, findings)
    return spec


def _nanos(
    written: Decimal | None, given: Decimal | None, what: str, findings: Findings
) -> int | None:
    if given is None:
        return None if written is None else money.nanos(written)
    try:
        amount = money.nanos(given)
    except ValueError:
        amount = 0
    if amount <= 0:
        findings.add((), f"the {what} on the command line must be more than 0, got {given}")
    return amount


def _formats(tables: Tables, given: Overrides, findings: Findings) -> tuple[Format, ...]:
    if given.formats is None:
        return tables.output.formats
    known = {str(word): word for word in Format}
    for word in given.formats:
        if word not in known:
            findings.add((), f"the format {shown(word)} is unknown; there are {', '.join(known)}")
    return tuple(known[word] for word in given.formats if word in known)


def _output_dir(tables: Tables, folders: Folders, given: Overrides) -> Path:
    if given.output_dir is not None:
        return Path(os.path.normpath(given.output_dir.absolute()))
    return Path(os.path.normpath(folders.output / tables.output.dir))
