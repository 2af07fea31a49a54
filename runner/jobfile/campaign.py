"""What makes a campaign of a job: templates, a second table, follow-ups, rows for some targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runner.inputs.product import Product
from runner.inputs.stdin import STDIN
from runner.inputs.table import Table, together
from runner.jobfile.columns import check_keys
from runner.jobfile.findings import Findings, shown
from runner.jobfile.inputs import clash, find_files, look_at
from runner.jobfile.job import InputSpec
from runner.jobfile.schema import InputTable, PromptTable, QuestionsTable, TargetTable
from runner.jobfile.targets import has
from runner.jobfile.template import Template, TemplateError, parse_template
from runner.parameters.table import CHAIN_LIMIT
from runner.task import Target

HISTORY: Final = 2
"""Messages that a follow-up's history adds to a conversation: the first question and its answer."""

_SECOND: Final = ("input", "questions", "file")


def read_template(prompt: PromptTable, findings: Findings) -> Template | None:
    """The prompt's template, if it has one and it is sound."""
    if prompt.template is None:
        return None
    at = ("prompt", "template")
    if "column" in prompt.model_fields_set:
        findings.add(at, "stands beside [prompt] column; the prompt is one or the other")
    try:
        return parse_template(prompt.template)
    except TemplateError as error:
        findings.add_inside(at, error.offset, error.message)
        return None


def second_table(
    table: QuestionsTable, home: Path, findings: Findings
) -> tuple[InputSpec, Table | None]:
    """The second table as the job names it, and opened if it can be."""
    if table.file == STDIN:
        findings.add(_SECOND, "must be a file; only [input] file can be standard input")
    found = find_files(table.file, home, findings, at=_SECOND)
    files = tuple(file.as_input(None) for file in found)
    spec = InputSpec(
        files=files,
        display=together([file.display for file in files]) if files else shown(table.file),
        encoding=table.encoding,
        delimiter=table.delimiter,
        columns=table.key,
        parameters=(),
    )
    return spec, look_at(spec, found, findings)


def both(
    first: Table, second: Table, spec: InputTable, prompt: PromptTable, findings: Findings
) -> Product:
    """The two tables as one; a name that stands in both goes to *findings*."""
    if shared := clash(first, second):
        findings.add(
            _SECOND,
            f"column {shown(shared)} is in {first.display} and in {second.display}; "
            "rename it in one of them",
        )
    check_keys(spec, first, second, findings)
    return Product(first, second, prompt.combine)


def check_follow_up(prompt: PromptTable, targets: Sequence[Target], findings: Findings) -> None:
    """A follow-up brings its history, so there must be room for it in the conversation."""
    if prompt.follow_up is None:
        return
    at = ("prompt", "follow_up")
    for target in targets:
        if not has(target.endpoint, "message_chain"):
            findings.add(at, f"{target.endpoint} takes no conversation (target {target.name})")
            continue
        chain = target.parameters.get("message_chain")
        if isinstance(chain, list) and len(chain) > CHAIN_LIMIT - HISTORY:
            findings.add(at, f"{too_long(len(chain))} (target {target.name})")


def too_long(messages: int) -> str:
    """That a conversation of so many *messages* leaves no room for a follow-up's history."""
    return (
        f"message_chain has {messages} messages; with a follow-up it may have "
        f"{CHAIN_LIMIT - HISTORY}, as the first question and its answer are added"
    )


def wheres(
    tables: Mapping[int, TargetTable], targets: Sequence[Target]
) -> dict[str, Mapping[str, tuple[str, ...]]]:
    """Which rows are asked of a target, for those that are not asked all."""
    written = [table.where for table in tables.values()]
    if len(written) != len(targets):
        return {}
    return {target.name: where for target, where in zip(targets, written, strict=True) if where}


def braces(targets: Sequence[Target]) -> list[str]:
    """Notes on texts that look like templates and are sent as they stand."""
    return [
        f"system_message of {target.name} holds {{{{, which is sent as it stands: only [prompt] "
        "template is filled from the rows"
        for target in targets
        if "{{" in str(target.parameters.get("system_message") or "")
    ]
