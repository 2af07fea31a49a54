"""A job as the rest of the program sees it: checked and frozen, money in nano-dollars."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from runner.inputs.product import Combine
from runner.jobfile.positions import Positions
from runner.jobfile.schema import Format
from runner.jobfile.template import Template
from runner.jobfile.values import DATE_PLACEHOLDER
from runner.task import Target

CONFIRM_ABOVE: Final = 5_000_000_000
"""Where a job does not say it: $5."""

REQUEST_VERSION: Final = 1
"""Goes up when the same job and row would make another request than before."""

ENCODER: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says about a job; None leaves it to the job file."""

    provider: str | None = None
    """For a data file only, like the next four: a job file names its targets itself."""
    model: str | None = None
    method: str | None = None
    gateway: str | None = None
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
    questions: "InputSpec | None" = None
    """The second table; *columns* are then those of both."""
    combine: Combine = Combine.CROSS
    """How the two become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """Where in a row the question stands; a dotted path reaches into JSON."""

    column: str
    template: Template | None = None
    """The question as a text with gaps; *column* counts for nothing then."""
    message_chain: str | None
    """The column with the conversation before it, if there is one."""
    follow_up: str | None = None
    """The column with the second question, if there is one."""
    samples: int
    """How many times each question is asked on purpose."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the first request is made of, parameters aside.

        Not the follow-up's: an edited follow-up must not ask the first question anew.
        """
        own = (self.column,) if self.template is None else self.template.columns
        chain = () if self.message_chain is None else (self.message_chain,)
        return tuple(dict.fromkeys((*own, *chain)))

    @property
    def turns(self) -> int:
        """Requests that a row stands for, for one target and sample."""
        return 1 if self.follow_up is None else 2


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
    wheres: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """By target name: the columns that say which rows it is asked, and what may stand in each."""
    key_columns: tuple[str, ...]
    """What names a row for ever: the key columns, or those that the prompt uses."""
    tries: int
    """Failures that the API may report for a task before it is given up, 1 to 10."""
    live_resend: bool = False
    """Whether a Live task whose answer was lost on its way is asked, and paid, again by itself."""
    budget_nanousd: int | None
    """Hard stop of a run."""
    max_hold_nanousd: int | None
    """Most that a run may have in advances at one time."""
    day_budget_nanousd: int | None = None
    """Hard stop of what is posted on one UTC day."""
    balance_floor_nanousd: int | None = None
    """What the account's balance is not brought below."""
    assume_nanousd: int | None = None
    """What an answer is taken to cost at least; None: what the target's kind suggests."""
    confirm_above_nanousd: int = CONFIRM_ABOVE
    """A person is asked before more is held, or expected to be spent."""
    output_dir: Path
    """Absolute."""
    formats: tuple[Format, ...]
    notes: tuple[str, ...]
    """What a person should know before it runs, such as what is left out for which target."""
    positions: Positions | None = field(default=None, repr=False, compare=False)
    """Where its keys stand; None where flags took the place of a job file."""

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
            "template": None if self.prompt.template is None else self.prompt.template.text,
            "combine": self.input.combine,
            "questions": None
            if self.input.questions is None
            else [self.input.questions.encoding, self.input.questions.delimiter],
            "message_chain": self.prompt.message_chain,
            "follow_up": self.prompt.follow_up,
            "where": self.wheres,
            "samples": self.prompt.samples,
            "key": self.key_columns,
            "targets": [
                [target.name, str(target.endpoint), target.model, dict(target.parameters)]
                for target in self.targets
            ],
        }
        return hashlib.blake2b(ENCODER.encode(shape), digest_size=16).hexdigest()
