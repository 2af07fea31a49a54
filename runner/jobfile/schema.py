"""What may stand in a job file, table by table: names, types and ranges.

Only what this version honours is accepted; every other key is an unknown setting. Which request
fields go together for which provider is `runner.parameters`' business, not decided here.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from runner.jobfile import values
from runner.task import Gateway, Method, Provider


class Format(StrEnum):
    """What an export can be written as."""

    CSV = "csv"
    JSONL = "jsonl"


# Perplexity is Live only, and AIsa is treated as Live only (API.md §1, §12).
_PROVIDER: Final = values.choice(
    (Provider.CHAT_GPT, Provider.CLAUDE, Provider.GEMINI), later=(Provider.PERPLEXITY,)
)
_METHOD: Final = values.choice((Method.STANDARD,), later=(Method.LIVE,))
_GATEWAY: Final = values.choice((Gateway.DATAFORSEO,), later=(Gateway.AISA,))

Text = Annotated[str, AfterValidator(values.text)]
Names = Annotated[tuple[str, ...], PlainValidator(values.names)]
Number = Annotated[int | float, PlainValidator(values.number)]
Amount = Annotated[Decimal, PlainValidator(values.amount)]


class Table(BaseModel):
    """A table of a job file: no key but those named, no type but the one written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class JobTable(Table):
    """What stands above the first header."""

    name: Annotated[str, AfterValidator(values.name)]
    description: str = ""


class RunTable(Table):
    """``[run]``"""

    key: Annotated[str, AfterValidator(values.run_key)] = ""
    """Which run a start belongs to; empty for one continuing run."""


class InputTable(Table):
    """``[input]``"""

    file: Text
    encoding: Annotated[str, AfterValidator(values.encoding)] | None = None
    delimiter: Annotated[str, AfterValidator(values.delimiter)] | None = None
    parameters: Names = ()
    """Columns that override the request fields of the same names."""
    key: Names = ()
    """Columns that name a row for ever; default: those that the prompt uses."""


class PromptTable(Table):
    """``[prompt]``"""

    column: Text = "prompt"
    message_chain: Text | None = None
    """The column that holds a conversation before the prompt, as API.md §2 shapes it."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 1


class RequestTable(Table):
    """``[request]``: the request fields of API.md §2 that are a person's to set."""

    max_output_tokens: int | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    web_search: bool | None = None
    force_web_search: bool | None = None
    web_search_country_iso_code: str | None = None
    web_search_city: str | None = None
    system_message: str | None = None
    message_chain: list[object] | None = None
    use_reasoning: bool | None = None

    def request(self) -> dict[str, object]:
        """The request fields that the table sets."""
        given = self.model_fields_set
        return {name: getattr(self, name) for name in REQUEST_FIELDS if name in given}


REQUEST_FIELDS: Final = tuple(RequestTable.model_fields)


class TargetTable(RequestTable):
    """One of ``[[targets]]``"""

    provider: Annotated[Provider, PlainValidator(_PROVIDER)]
    model: Text
    name: Annotated[str, AfterValidator(values.label)] | None = None
    """Default: provider/model/method/gateway."""
    method: Annotated[Method, PlainValidator(_METHOD)] = Method.STANDARD
    gateway: Annotated[Gateway, PlainValidator(_GATEWAY)] = Gateway.DATAFORSEO


class LimitsTable(Table):
    """``[limits]``"""

    budget_usd: Amount | None = None
    max_hold_usd: Amount | None = None


class RetryTable(Table):
    """``[retry]``"""

    tries: Annotated[int, Field(ge=1, le=10)] = 3


class OutputTable(Table):
    """``[output]``"""

    dir: Text = "out"
    formats: Annotated[
        tuple[Annotated[Format, PlainValidator(values.choice(Format))], ...],
        Field(strict=False, min_length=1),
    ] = (Format.CSV, Format.JSONL)


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
