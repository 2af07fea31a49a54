"""What each provider accepts in a request: one pure table, a row for each field, with its source.

    gateway / provider / method ──▶ (Field, Field, ...)      the order is the order of API.md §2

             chat_gpt        claude          gemini          perplexity
    dataforseo  standard live   standard live   standard live   live         API.md §1
    aisa        live            live            live            -            API.md §12

Live takes the fields of Standard without the two callback URLs, and AIsa hands a Live request on
as it is. What the table has no key for cannot be asked. Demands that fields make of each other
are in ``rules``. Letters in brackets are the source tags of API.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runner.task import Endpoint, Gateway, Method, Provider


class Kind(StrEnum):
    """The type of a field's value, in the words of an error message."""

    TEXT = "text"
    NAME = "name"
    """Text on one line: no control characters, no space at either end."""
    COUNTRY = "country code"
    """Two capital letters, ISO 3166-1."""
    INTEGER = "whole number"
    NUMBER = "number"
    FLAG = "true or false"
    CHAIN = "message chain"
    """A list of objects, each with exactly a role and a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row: a field that the API knows for one provider and method."""

    name: str
    kind: Kind
    source: str
    """Where the rule stands."""
    required: bool = False
    minimum: int | None = None
    maximum: float | None = None
    max_length: int | None = None
    """Characters of a text, counted as code points; objects of a chain."""
    choices: tuple[str, ...] = ()
    """The closed list; empty if there is none."""
    default: str = ""
    """What the API takes when the field is left out, as written in a request; empty: not stated."""
    note: str = ""
    """What the field demands of others or of the model, for people."""
    reserved: bool = False
    """Set by runner itself; a job cannot."""

    @property
    def allowed(self) -> str:
        """What is allowed, to follow "must be"."""
        match self.kind:
            case Kind.INTEGER | Kind.NUMBER:
                return f"a {self.kind} from {self.minimum} to {self.maximum}"
            case Kind.FLAG:
                return str(self.kind)
            case Kind.COUNTRY if self.choices:
                return f"one of {', '.join(self.choices)}"
            case Kind.COUNTRY:
                return "a country code of two capital letters (ISO 3166-1)"
            case Kind.NAME:
                return f"a name of 1 to {self.max_length} characters on one line"
            case Kind.CHAIN:
                return (
                    f"a list of 1 to {self.max_length} objects, "
                    'each {"role": "user" or "ai", "message": text}'
                )
            case Kind.TEXT:
                return f"a text of 1 to {self.max_length} characters"


TEXT_LIMIT: Final = 500
"""Characters of user_prompt, system_message and each message of a chain (API.md §2)."""

CHAIN_LIMIT: Final = 10
"""Objects in a message_chain (API.md §2)."""

ROLES: Final = ("user", "ai")
"""Who may have said a message of the chain (API.md §2)."""

_CLAUDE_COUNTRIES_TEXT: Final = """
AR AT AU BE BR CA CH CL CN DE DK ES FI FR GB HK ID IN IT JP KR MX MY NL NO NZ PH PL PT RU SA SE TR
TW US ZA
"""
CLAUDE_COUNTRIES: Final = tuple(_CLAUDE_COUNTRIES_TEXT.split())
"""Where a Claude web search can be placed: a closed list of 36 (API.md §2 [S001, S002, C])."""

_OUR_NAME_LIMIT: Final = 255
"""The API states no limit for model and city names: this one only keeps out what is no name."""

_MODEL: Final = Field(
    name="model_name",
    kind=Kind.NAME,
    required=True,
    max_length=_OUR_NAME_LIMIT,
    note="a base name stands for its newest dated version",
    source="API.md §2; the length is ours",
)
_PROMPT: Final = Field(
    name="user_prompt",
    kind=Kind.TEXT,
    required=True,
    max_length=TEXT_LIMIT,
    source="API.md §2 [S002, C]",
)
_SYSTEM: Final = Field(
    name="system_message", kind=Kind.TEXT, max_length=TEXT_LIMIT, source="API.md §2 [S002, C]"
)
_CHAIN: Final = Field(
    name="message_chain",
    kind=Kind.CHAIN,
    max_length=CHAIN_LIMIT,
    note="earlier turns of the conversation, oldest first",
    source="API.md §2 [S002, C]",
)
_ALTERNATING_CHAIN: Final = Field(
    name="message_chain",
    kind=Kind.CHAIN,
    max_length=CHAIN_LIMIT,
    note="earlier turns, oldest first: user and ai in turn, user first",
    source="API.md §2 [C]",
)
_WEB_SEARCH: Final = Field(
    name="web_search",
    kind=Kind.FLAG,
    default="false",
    note="only where the model supports it",
    source="API.md §2 [C], §9",
)
_CITY: Final = Field(
    name="web_search_city",
    kind=Kind.NAME,
    max_length=_OUR_NAME_LIMIT,
    note="needs web_search = true",
    source="API.md §2 [S002, C]; the length is ours",
)
_TAG: Final = Field(
    name="tag",
    kind=Kind.NAME,
    max_length=255,
    note="runner recognises its tasks by it",
    source="API.md §2 [S002, C]; DESIGN.md §4",
    reserved=True,
)
_CALLBACKS: Final = (
    Field(
        name="postback_url",
        kind=Kind.NAME,
        max_length=2048,
        note="task_post only; set when runner has a public URL",
        source="API.md §2, §6 [C]; the length is ours",
        reserved=True,
    ),
    Field(
        name="pingback_url",
        kind=Kind.NAME,
        max_length=2048,
        note="task_post only; runner does not use it",
        source="API.md §2, §6 [C]; the length is ours",
        reserved=True,
    ),
)


def _tokens(minimum: int, note: str) -> Field:
    return Field(
        name="max_output_tokens",
        kind=Kind.INTEGER,
        minimum=minimum,
        maximum=4096,
        default="2048",
        note=f"{note}; a soft limit: web search and reasoning may exceed it",
        source="API.md §2, §10 [S002, C]",
    )


def _temperature(maximum: float, default: str, note: str = "") -> Field:
    return Field(
        name="temperature",
        kind=Kind.NUMBER,
        minimum=0,
        maximum=maximum,
        default=default,
        note=note,
        source="API.md §2 [C]",
    )


def _top_p(default: str, note: str = "") -> Field:
    return Field(
        name="top_p",
        kind=Kind.NUMBER,
        minimum=0,
        maximum=1,
        default=default,
        note=note,
        source="API.md §2 [C]",
    )


def _forced_search(note: str) -> Field:
    return Field(
        name="force_web_search",
        kind=Kind.FLAG,
        default="false",
        note=note,
        source="API.md §2 [C]",
    )


def _country(note: str, choices: tuple[str, ...] = ()) -> Field:
    return Field(
        name="web_search_country_iso_code",
        kind=Kind.COUNTRY,
        choices=choices,
        note=note,
        source="API.md §2 [C]",
    )


def _reasoning(note: str) -> Field:
    return Field(
        name="use_reasoning",
        kind=Kind.FLAG,
        default="false",
        note=note,
        source="API.md §2, §10 [S002, C]",
    )


_OF_PROVIDER: Final[dict[Provider, tuple[Field, ...]]] = {
    Provider.CHAT_GPT: (
        _PROMPT,
        _MODEL,
        _tokens(16, "at least 1024 for a reasoning model"),
        _temperature(2, "0.94", "not with top_p; not for reasoning models"),
        _top_p("0.92", "not with temperature"),
        _WEB_SEARCH,
        _forced_search("needs web_search = true; not for reasoning models"),
        _country("needs web_search = true; not for o3-mini, o1-pro, o1"),
        _CITY,
        _SYSTEM,
        _CHAIN,
    ),
    Provider.CLAUDE: (
        _PROMPT,
        _MODEL,
        _tokens(1, "at least 1025 with use_reasoning"),
        _temperature(1, "0.7", "not with top_p; not with use_reasoning"),
        _top_p("null", "not with temperature; not with use_reasoning"),
        _WEB_SEARCH,
        _forced_search("needs web_search = true; not with use_reasoning"),
        _country("needs web_search = true", CLAUDE_COUNTRIES),
        _CITY,
        _SYSTEM,
        _CHAIN,
        _reasoning("only where the model supports it"),
    ),
    Provider.GEMINI: (
        _PROMPT,
        _MODEL,
        _tokens(1, "at least 1024 with use_reasoning"),
        _temperature(2, "1.3"),
        _top_p("0.9"),
        _WEB_SEARCH,
        _SYSTEM,
        _CHAIN,
        _reasoning("Gemini Pro models reason always"),
    ),
    Provider.PERPLEXITY: (
        _PROMPT,
        _MODEL,
        _tokens(1, "Sonar models search by default"),
        _temperature(1.9, "0.77"),
        _top_p("0.9"),
        _country("only for Sonar models"),
        _SYSTEM,
        _ALTERNATING_CHAIN,
    ),
}

_METHODS: Final[dict[tuple[Gateway, Provider], tuple[Method, ...]]] = {
    (Gateway.DATAFORSEO, Provider.CHAT_GPT): (Method.STANDARD, Method.LIVE),
    (Gateway.DATAFORSEO, Provider.CLAUDE): (Method.STANDARD, Method.LIVE),
    (Gateway.DATAFORSEO, Provider.GEMINI): (Method.STANDARD, Method.LIVE),
    (Gateway.DATAFORSEO, Provider.PERPLEXITY): (Method.LIVE,),
    (Gateway.AISA, Provider.CHAT_GPT): (Method.LIVE,),
    (Gateway.AISA, Provider.CLAUDE): (Method.LIVE,),
    (Gateway.AISA, Provider.GEMINI): (Method.LIVE,),
}
"""How each provider can be asked through each gateway, the preferred way first.

API.md §1 (Perplexity has no task_post), §12 (AIsa: no way to fetch what its task_post takes, and
no Perplexity).
"""


def _accepted(provider: Provider, method: Method) -> tuple[Field, ...]:
    callbacks = _CALLBACKS if method is Method.STANDARD else ()
    return (*_OF_PROVIDER[provider], _TAG, *callbacks)


TABLE: Final[dict[Endpoint, tuple[Field, ...]]] = {
    Endpoint(gateway=gateway, provider=provider, method=method): _accepted(provider, method)
    for (gateway, provider), methods in _METHODS.items()
    for method in methods
}
"""What is accepted, by endpoint."""


def default_method(provider: Provider, gateway: Gateway = Gateway.DATAFORSEO) -> Method:
    """How *provider* is asked where nobody says: by Standard where that exists, else Live.

    A model's own abilities do not count here: the lists of models change, and the method is a
    part of the target's name and so of what is already asked.
    """
    return _METHODS.get((gateway, provider), (Method.LIVE,))[0]
