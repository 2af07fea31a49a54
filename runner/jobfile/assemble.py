"""A job's tables put together: files found, columns there, targets sound, money in nano-dollars."""

import os
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from runner import money
from runner.inputs import stdin
from runner.inputs.table import together
from runner.jobfile.campaign import (
    both,
    braces,
    check_follow_up,
    read_template,
    second_table,
    wheres,
)
from runner.jobfile.columns import check_columns, check_parameters, key_columns, named_columns
from runner.jobfile.findings import Findings, shown
from runner.jobfile.inputs import find_files, look_at
from runner.jobfile.job import InputSpec, Job, Overrides, PromptSpec
from runner.jobfile.reading import Tables, read_tables
from runner.jobfile.schema import Format
from runner.jobfile.targets import build_targets, left_out
from runner.jobfile.template import Template


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
    template = read_template(tables.prompt, findings)
    used = _prompt(tables, template)
    spec, key = _input(tables, folders, given, findings, used)
    check_follow_up(tables.prompt, targets, findings)
    limits = tables.limits
    budget = _nanos(limits.budget_usd, given.budget_usd, "budget", findings)
    hold = _nanos(limits.max_hold_usd, given.max_hold_usd, "hold limit", findings)
    formats = _formats(tables, given, findings)
    if findings.any or tables.top is None or tables.input is None or spec is None:
        raise findings.error()
    return Job(
        name=tables.top.name,
        path=findings.path,
        description=tables.top.description,
        key_template=tables.run.key,
        input=spec,
        prompt=used,
        targets=targets,
        wheres=wheres(tables.targets, targets),
        key_columns=key,
        tries=tables.retry.tries,
        live_resend=tables.retry.live_resend,
        budget_nanousd=budget,
        max_hold_nanousd=hold,
        day_budget_nanousd=_written(limits.budget_usd_per_day),
        balance_floor_nanousd=_written(limits.balance_floor_usd),
        assume_nanousd=_written(limits.assume_usd),
        confirm_above_nanousd=money.nanos(limits.confirm_above_usd),
        output_dir=_output_dir(tables, folders, given),
        formats=formats,
        notes=(*notes, *left_out(targets, "column", spec.parameters), *braces(targets)),
    )


def assemble_without_input(
    name: str, folders: Folders, given: Overrides, findings: Findings
) -> Job:
    """The job of an input that is not read again: what it may spend, and where its files go.

    Raises:
        WrongInput: *given* has something that cannot be.
    """
    budget = _nanos(None, given.budget_usd, "budget", findings)
    hold = _nanos(None, given.max_hold_usd, "hold limit", findings)
    if findings.any:
        raise findings.error()
    tables = read_tables({"name": name, "input": {"file": name}, "targets": []}, findings)
    return Job(
        name=name,
        path=findings.path,
        description="",
        key_template="",
        input=InputSpec(
            files=(), display=name, encoding=None, delimiter=None, columns=(), parameters=()
        ),
        prompt=_prompt(tables, None),
        targets=(),
        key_columns=(),
        tries=tables.retry.tries,
        budget_nanousd=budget,
        max_hold_nanousd=hold,
        output_dir=_output_dir(tables, folders, given),
        formats=tables.output.formats,
        notes=(),
    )


def _prompt(tables: Tables, template: Template | None) -> PromptSpec:
    return PromptSpec(
        column=tables.prompt.column,
        template=template,
        message_chain=tables.prompt.message_chain,
        follow_up=tables.prompt.follow_up,
        samples=tables.prompt.samples,
    )


def _input(
    tables: Tables, folders: Folders, given: Overrides, findings: Findings, prompt: PromptSpec
) -> tuple[InputSpec | None, tuple[str, ...]]:
    """The input and the columns that name its rows."""
    if tables.input is None:
        return None, ()
    table = tables.input
    check_parameters(table, tables.prompt, findings)
    named = named_columns(table, tables.prompt, prompt.template, tables.targets)
    found = find_files(table.file, folders.home, findings)
    files = tuple(file.as_input(folders.input_display) for file in found)
    spec = InputSpec(
        files=files,
        display=together([file.display for file in files]) if files else stdin.DISPLAY,
        encoding=given.encoding or table.encoding,
        delimiter=given.delimiter or table.delimiter,
        columns=tuple(dict.fromkeys(name.column for name in named)),
        parameters=table.parameters,
    )
    opened = look_at(spec, found, findings)
    second = None
    if table.questions is not None:
        other, second = second_table(table.questions, folders.home, findings)
        spec = replace(spec, questions=other, combine=tables.prompt.combine)
        if opened is not None and second is not None:
            opened = both(opened, second, table, tables.prompt, findings)
    if opened is not None and (table.questions is None or second is not None):
        check_columns(opened, named, tables.prompt, findings)
    headers = (
        None if opened is None else opened.files[0].reader.columns,
        None if second is None else second.columns,
    )
    return spec, key_columns(table, prompt.columns, headers, findings)


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


def _written(amount: Decimal | None) -> int | None:
    return None if amount is None else money.nanos(amount)


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
