"""Which task objects the API takes: fields, types, ranges and exclusions of each provider.

Source: API.md §2, §5 (40501 Invalid Field, 40506 Unknown Fields). An explicit null
counts as absent: the vendor's own client sends one for every unset field. Characters are code
points.
"""

from collections.abc import Callable, Mapping
from typing import Final

from runner.simulator.calls import Json
from runner.simulator.catalogue import Model, find_model, thinks_always
from runner.task import Provider

MAX_TEXT: Final = 500
MAX_TAG: Final = 255
MAX_CHAIN: Final = 10
MAX_OUTPUT_TOKENS: Final = 4096

_CLAUDE_COUNTRIES: Final = frozenset(
    "AR AT AU BE BR CA CH CL CN DE DK ES FI FR GB HK ID IN IT JP KR MX MY NL NO NZ PH PL PT RU "
    "SA SE TR TW US ZA".split()
)
_NO_LOCATION: Final = ("o3-mini", "o1-pro", "o1")
"""ChatGPT models that take no country and no city (API.md §2)."""

_COMMON: Final = frozenset(
    "user_prompt model_name max_output_tokens temperature top_p web_search system_message "
    "message_chain tag postback_url pingback_url".split()
)
FIELDS: Final[Mapping[Provider, frozenset[str]]] = {
    Provider.CHAT_GPT: _COMMON
    | {"force_web_search", "web_search_country_iso_code", "web_search_city"},
    Provider.CLAUDE: _COMMON
    | {"force_web_search", "web_search_country_iso_code", "web_search_city", "use_reasoning"},
    Provider.GEMINI: _COMMON | {"use_reasoning"},
    Provider.PERPLEXITY: _COMMON - {"web_search"} | {"web_search_country_iso_code"},
}
_STANDARD_ONLY: Final = frozenset({"postback_url", "pingback_url"})
_HIGHEST_TEMPERATURE: Final = {
    Provider.CHAT_GPT: 2,
    Provider.CLAUDE: 1,
    Provider.GEMINI: 2,
    Provider.PERPLEXITY: 1.9,
}

Refusal = tuple[int, str]
"""Status code and message."""


def refusal_of(
    provider: Provider,
    task: object,
    *,
    listed_only: bool = False,
    not_postable: tuple[str, ...] = (),
    live: bool = False,
) -> Refusal | None:
    """Why the API does not take *task*, posted or in a *live* call; None if it does."""
    if not isinstance(task, dict):
        return 40501, "Invalid Field: 'data'."
    given: Json = {name: value for name, value in task.items() if value is not None}
    unknown = sorted(set(given) - (FIELDS[provider] - (_STANDARD_ONLY if live else set())))
    if unknown:
        return 40506, f"Unknown Fields in POST Data: {', '.join(unknown)}."
    for name, value in given.items():
        check = _TYPES.get(name)
        if check is not None and not check(value):
            return _invalid(name)
    for name in ("user_prompt", "model_name"):
        if not given.get(name):
            return _invalid(name)
    model = find_model(provider, given["model_name"], listed_only=listed_only)
    if model is None or (not live and model.name in not_postable):
        return _invalid("model_name")
    wrong = _OWN_RULES[provider](given, model)
    return _invalid(wrong) if wrong else None


def _invalid(name: str) -> Refusal:
    return 40501, f"Invalid Field: '{name}'."


def _text(longest: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _tokens(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and isinstance(value, int) and 1 <= value <= MAX_OUTPUT_TOKENS


def _chain(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CHAIN and all(map(_turn, value))


def _turn(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"role", "message"}
        and value["role"] in ("user", "ai")
        and _text(MAX_TEXT)(value["message"])
    )


_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "user_prompt": _text(MAX_TEXT),
    "model_name": _text(MAX_TAG),
    "max_output_tokens": _tokens,
    "temperature": _number,
    "top_p": _share,
    "web_search": _flag,
    "force_web_search": _flag,
    "use_reasoning": _flag,
    "web_search_country_iso_code": _text(2),
    "web_search_city": _text(MAX_TAG),
    "system_message": _text(MAX_TEXT),
    "message_chain": _chain,
    "tag": _text(MAX_TAG),
    "postback_url": _text(2000),
    "pingback_url": _text(2000),
}


def _rules_of_chat_gpt(task: Json, model: Model) -> str | None:
    located = "web_search_country_iso_code" in task or "web_search_city" in task
    located_wrongly = not task.get("web_search") or model.name.startswith(_NO_LOCATION)
    return _first(
        (_temperature_out_of_range(task, Provider.CHAT_GPT), "temperature"),
        (model.reasoning and "temperature" in task, "temperature"),
        ("temperature" in task and "top_p" in task, "top_p"),
        (
            task.get("max_output_tokens", 2048) < (1024 if model.reasoning else 16),
            "max_output_tokens",
        ),
        (_searches_without_support(task, model), "web_search"),
        (_forces_without_search(task), "force_web_search"),
        (task.get("force_web_search", False) and model.reasoning, "force_web_search"),
        (located and located_wrongly, "web_search_country_iso_code"),
    )


def _rules_of_claude(task: Json, model: Model) -> str | None:
    country = task.get("web_search_country_iso_code")
    thinks = task.get("use_reasoning", False)
    return _first(
        (_temperature_out_of_range(task, Provider.CLAUDE), "temperature"),
        ("temperature" in task and "top_p" in task, "top_p"),
        (thinks and not model.reasoning, "use_reasoning"),
        (thinks and task.get("max_output_tokens", 2048) < 1025, "max_output_tokens"),
        (thinks and "temperature" in task, "temperature"),
        (thinks and "top_p" in task, "top_p"),
        (thinks and task.get("force_web_search", False), "force_web_search"),
        (_searches_without_support(task, model), "web_search"),
        (_forces_without_search(task), "force_web_search"),
        (country is not None and country not in _CLAUDE_COUNTRIES, "web_search_country_iso_code"),
    )


def _rules_of_gemini(task: Json, model: Model) -> str | None:
    thinks = task.get("use_reasoning", False) or thinks_always(Provider.GEMINI, model.name)
    return _first(
        (_temperature_out_of_range(task, Provider.GEMINI), "temperature"),
        (task.get("use_reasoning", False) and not model.reasoning, "use_reasoning"),
        (thinks and task.get("max_output_tokens", 2048) < 1024, "max_output_tokens"),
        (_searches_without_support(task, model), "web_search"),
    )


def _rules_of_perplexity(task: Json, _model: Model) -> str | None:
    roles = [turn["role"] for turn in task.get("message_chain", ())]
    wanted = ["user", "ai"] * ((len(roles) + 1) // 2)
    return _first(
        (_temperature_out_of_range(task, Provider.PERPLEXITY), "temperature"),
        (roles != wanted[: len(roles)], "message_chain"),
    )


def _first(*rules: tuple[bool, str]) -> str | None:
    return next((field for broken, field in rules if broken), None)


def _temperature_out_of_range(task: Json, provider: Provider) -> bool:
    value = task.get("temperature", 0)
    return not 0 <= value <= _HIGHEST_TEMPERATURE[provider]


def _searches_without_support(task: Json, model: Model) -> bool:
    return bool(task.get("web_search")) and not model.web_search


def _forces_without_search(task: Json) -> bool:
    return bool(task.get("force_web_search")) and not task.get("web_search")


_OWN_RULES: Final[Mapping[Provider, Callable[[Json, Model], str | None]]] = {
    Provider.CHAT_GPT: _rules_of_chat_gpt,
    Provider.CLAUDE: _rules_of_claude,
    Provider.GEMINI: _rules_of_gemini,
    Provider.PERPLEXITY: _rules_of_perplexity,
}
