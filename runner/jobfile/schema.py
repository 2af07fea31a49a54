"""What may stand in a job file, table by table: names, types and ranges.

Only what this version honours is accepted; every other key is an unknown setting. Which request
fields go together for which provider is `runner.parameters`' business, not decided here.

The docstring of a key is also what editors show for it (`json_schema`); where a validator of ours
stands in for pydantic's own, ``WithJsonSchema`` says to them what it takes.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from runner.inputs.product import Combine
from runner.jobfile import values
from runner.task import Gateway, Method, Provider


class Format(StrEnum):
    """What an export can be written as."""

    CSV = "csv"
    JSONL = "jsonl"


def _words(allowed: Iterable[StrEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in allowed]})


_TEXT: Final = {"type": "string", "minLength": 1}
_SEVERAL: Final = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}

_CELLS: Final = [{"type": kind} for kind in ("string", "number", "boolean")]

Text = Annotated[str, AfterValidator(values.text), WithJsonSchema(_TEXT)]
Names = Annotated[
    tuple[str, ...],
    PlainValidator(values.names),
    WithJsonSchema({"anyOf": [_TEXT, _SEVERAL]}),
]
Files = Annotated[
    str | tuple[str, ...],
    PlainValidator(values.files),
    WithJsonSchema({"anyOf": [_TEXT, _SEVERAL]}),
]
Number = Annotated[int | float, PlainValidator(values.number), WithJsonSchema({"type": "number"})]
Amount = Annotated[
    Decimal,
    PlainValidator(values.amount),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]


Where = Annotated[
    dict[str, tuple[str, ...]],
    PlainValidator(values.where),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [*_CELLS, {"type": "array", "items": {"anyOf": _CELLS}, "minItems": 1}]
            },
        }
    ),
]


class Table(BaseModel):
    """A table of a job file: no key but those named, no type but the one written."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class JobTable(Table):
    """What stands above the first header."""

    name: Annotated[
        str,
        AfterValidator(values.name),
        WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"}),
    ]
    """What the job is called: on the command line, in the store and in the names of its files."""
    description: str = ""
    """What it is for, in a line."""


class RunTable(Table):
    """``[run]``"""

    key: Annotated[str, AfterValidator(values.run_key)] = ""
    """Which run a start belongs to; empty for one continuing run, "{{date}}" for one a day."""


class QuestionsTable(Table):
    """``[input.questions]``: a second table, combined with the first"""

    file: Files
    """A file, relative to this one, a pattern or a list of these."""
    encoding: Annotated[str, AfterValidator(values.encoding)] | None = None
    """Such as cp1252; default: UTF-8."""
    delimiter: Annotated[str, AfterValidator(values.delimiter)] | None = None
    """Between the cells of a line: a character, or comma, semicolon, tab or pipe."""
    key: Names = ()
    """Columns that name one of its rows for ever; default: those that the prompt uses."""


class InputTable(Table):
    """``[input]``"""

    file: Files
    """A file, relative to this one, a pattern (data/*.csv) or a list of these; "-" for stdin."""
    encoding: Annotated[str, AfterValidator(values.encoding)] | None = None
    """Such as cp1252; default: UTF-8."""
    delimiter: Annotated[str, AfterValidator(values.delimiter)] | None = None
    """Between the cells of a line: a character, or comma, semicolon, tab or pipe."""
    parameters: Names = ()
    """Columns that override the request fields of the same names."""
    key: Names = ()
    """Columns that name a row for ever; default: those that the prompt uses."""
    questions: QuestionsTable | None = None
    """A second table: each row is asked with each of its rows, see [prompt] combine."""


class PromptTable(Table):
    """``[prompt]``"""

    column: Text = "prompt"
    """The column that holds the question; a dotted path reaches into JSON (turns.0)."""
    template: Text | None = None
    """The question as a text with gaps, instead of a column: {{column}}, {{column|default}}."""
    combine: Annotated[Combine, PlainValidator(values.choice(Combine)), _words(Combine)] = (
        Combine.CROSS
    )
    """With [input.questions]: each row with each of its rows (cross), or side by side (zip)."""
    follow_up: Text | None = None
    """The column with a second question, asked when the first is answered, after that answer."""
    message_chain: Text | None = None
    """The column that holds the conversation before the question; for JSON only."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many times each question is asked on purpose."""


class RequestTable(Table):
    """``[request]``: the request fields of API.md §2 that are a person's to set."""

    max_output_tokens: int | None = None
    """The most tokens that an answer may have, reasoning included."""
    temperature: Number | None = None
    """How free the choice of words is, from 0; only Gemini takes this and top_p together."""
    top_p: Number | None = None
    """The share of likely words to choose from, 0 to 1."""
    web_search: bool | None = None
    """Let the model search the web; its sources are stored as citations."""
    force_web_search: bool | None = None
    """Make it search, where the provider can."""
    web_search_country_iso_code: str | None = None
    """The country to search from, such as DE."""
    web_search_city: str | None = None
    """The city to search from; needs the country."""
    system_message: str | None = None
    """What the model is told before the question."""
    message_chain: list[object] | None = None
    """A conversation before the question: at most 10 of {role, message}, user and ai in turn."""
    use_reasoning: bool | None = None
    """Let the model think before it answers, where the provider can; thinking is paid."""

    def request(self) -> dict[str, object]:
        """The request fields that the table sets."""
        given = self.model_fields_set
        return {name: getattr(self, name) for name in REQUEST_FIELDS if name in given}


REQUEST_FIELDS: Final = tuple(RequestTable.model_fields)


class TargetTable(RequestTable):
    """One of ``[[targets]]``"""

    provider: Annotated[
        Provider,
        PlainValidator(values.choice(Provider)),
        _words(Provider),
    ]
    """Whose model answers."""
    model: Text
    """The model's name at the provider."""
    name: Annotated[str, AfterValidator(values.label)] | None = None
    """What results call the target; default: provider/model/method/gateway."""
    where: Where | None = None
    """Ask only rows whose cells are these: { market = ["DE", "AT"] }; all columns must fit."""
    method: Annotated[Method, PlainValidator(values.choice(Method)), _words(Method)] | None = None
    """How the API is asked: posted now and fetched later (standard), or answered in the same call
    (live); default: standard, and live where that is all there is (perplexity, aisa)."""
    gateway: Annotated[Gateway, PlainValidator(values.choice(Gateway)), _words(Gateway)] = (
        Gateway.DATAFORSEO
    )
    """Whose endpoint is called."""
    account: Text | None = None
    """The only account of runner.toml's [accounts] that asks it; default: any of them."""


class LimitsTable(Table):
    """``[limits]``"""

    budget_usd: Amount | None = None
    """Hard stop of a run, looked at before each post."""
    max_hold_usd: Amount | None = None
    """The most that the API may hold in advances at one time; posting waits below it."""
    budget_usd_per_day: Amount | None = None
    """Hard stop of the job for what is posted on one UTC day, whatever runs it belongs to."""
    balance_floor_usd: Amount | None = None
    """Post nothing that could bring the account's balance below this."""
    assume_usd: Amount | None = None
    """What an answer is taken to cost at least, until answers have shown it; default: 0.05 with
    web search, reasoning or the Live method, else nothing beyond the advance."""
    confirm_above_usd: Amount = Decimal(5)
    """Ask a person before more than this is held, or expected to be spent."""


class RetryTable(Table):
    """``[retry]``"""

    tries: Annotated[int, Field(ge=1, le=10)] = 3
    """Failures that the API may report for a task before it is given up."""
    live_resend: bool = False
    """Whether a Live task whose answer was lost on its way is asked, and paid, again by itself."""


class OutputTable(Table):
    """``[output]``"""

    dir: Text = "out"
    """Where the results go, relative to this file."""
    formats: Annotated[
        tuple[Annotated[Format, PlainValidator(values.choice(Format)), _words(Format)], ...],
        Field(strict=False, min_length=1),
    ] = (Format.CSV, Format.JSONL)
    """What the results are written as."""


TABLES: Final[dict[str, type[Table]]] = {
    "run": RunTable,
    "input": InputTable,
    "prompt": PromptTable,
    "request": RequestTable,
    "targets": TargetTable,
    "limits": LimitsTable,
    "retry": RetryTable,
    "output": OutputTable,
}
"""Each table of a job file by its header; ``targets`` is an array of them."""
