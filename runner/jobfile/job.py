"""A job as the rest of the program sees it: checked and frozen, money in nano-dollars."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from runner.jobfile.schema import Format
from runner.jobfile.values import DATE_PLACEHOLDER
from runner.task import Target

REQUEST_VERSION: Final = 1
"""Goes up when the same job and row would make another request than before."""

ENCODER: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says about a job; None leaves it to the job file."""

    provider: str | None = None
    """For a data file only, like *model* and *column*: a job file names its targets itself."""
    model: str | None = None
    column: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    budget_usd: Decimal | None = None
    max_hold_usd: Decimal | None = None
    output_dir: Path | None = None
    """Relative to the current folder."""
    formats: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One of the files of prompts."""

    path: Path
    """Absolute."""
    display: str
    """What messages call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The prompts and how to read them."""

    files: tuple[InputFile, ...]
    """In the order in which they are read as one table; none: standard input."""
    display: str
    """What messages call them together."""
    encoding: str | None
    delimiter: str | None
    columns: tuple[str, ...]
    """Those that a header must have, where there is one."""
    parameters: tuple[str, ...]
    """Columns that override the request fields of the same names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """Where in a row the question stands; a dotted path reaches into JSON."""

    column: str
    message_chain: str | None
    """The column with the conversation before it, if there is one."""
    samples: int
    """How many times each question is asked on purpose."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a request is made of, parameters aside."""
        return (self.column,) if self.message_chain is None else (self.column, self.message_chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named set of prompts and how to ask them."""

    name: str
    path: str
    """The job file as messages call it; of a data file alone, that file."""
    description: str
    key_template: str
    """``[run] key`` as written."""
    input: InputSpec
    prompt: PromptSpec
    targets: tuple[Target, ...]
    key_columns: tuple[str, ...]
    """What names a row for ever: the key columns, or those that the prompt uses."""
    tries: int
    """Failures that the API may report for a task before it is given up, 1 to 10."""
    budget_nanousd: int | None
    """Hard stop of a run."""
    max_hold_nanousd: int | None
    """Most that a run may have in advances at one time."""
    output_dir: Path
    """Absolute."""
    formats: tuple[Format, ...]
    notes: tuple[str, ...]
    """What a person should know before it runs, such as what is left out for which target."""

    def run_key(self, now: datetime) -> str:
        """Which run a start at *now* (timezone-aware) belongs to; empty for one continuing run."""
        return self.key_template.replace(DATE_PLACEHOLDER, now.astimezone(UTC).date().isoformat())

    def settings_digest(self) -> str:
        """A digest of all in the job that shapes requests and row keys, 32 hex digits.

        As long as it and the input file are unchanged, loading again would find nothing new.
        """
        shape = {
            "version": REQUEST_VERSION,
            "encoding": self.input.encoding,
            "delimiter": self.input.delimiter,
            "overriding": self.input.parameters,
            "column": self.prompt.column,
            "message_chain": self.prompt.message_chain,
            "samples": self.prompt.samples,
            "key": self.key_columns,
            "targets": [
                [target.name, str(target.endpoint), target.model, dict(target.parameters)]
                for target in self.targets
            ],
        }
        return hashlib.blake2b(ENCODER.encode(shape), digest_size=16).hexdigest()
