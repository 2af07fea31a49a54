"""What the fields of a request demand of each other and of the model (API.md §2).

A rule sees only values that are right by themselves, and yields a fault for each demand not met.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from runner.parameters.table import ROLES
from runner.parameters.values import Caution, Fault, shown
from runner.task import Provider

Request = Mapping[str, object]
Rule = Callable[[Request, bool | None], Iterator[Fault]]
"""Request and whether its model is known to be a reasoning one (None: not known)."""

_NO_PLACE_FOR_SEARCH: Final = re.compile(r"(o3-mini|o1-pro|o1)(-\d{4}-\d{2}-\d{2})?")
"""ChatGPT models, base or dated, whose web search cannot be given a place."""

_GEMINI_PRO: Final = re.compile(r"gemini-[\d.]+-pro\b.*")


def _one_of_temperature_and_top_p(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    if "temperature" in request and "top_p" in request:
        allowed = "either temperature or top_p"
        yield Fault("top_p", f"cannot go with temperature; give {allowed}", allowed)


def _search_before_its_details(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    if request.get("web_search") is True:
        return
    allowed = "only with web_search = true"
    if request.get("force_web_search") is True:
        yield Fault("force_web_search", f"is allowed {allowed}", allowed)
    for name in ("web_search_country_iso_code", "web_search_city"):
        if name in request:
            yield Fault(name, f"is allowed {allowed}, got {shown(request[name])}", allowed)


def _no_place_for_early_reasoners(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    model = request.get("model_name")
    if not isinstance(model, str) or not _NO_PLACE_FOR_SEARCH.fullmatch(model):
        return
    allowed = "any model but o3-mini, o1-pro and o1"
    for name in ("web_search_country_iso_code", "web_search_city"):
        if name in request:
            yield Fault(name, f"is not allowed for {model}; it goes with {allowed}", allowed)


def _chat_gpt_reasoning(request: Request, reasoning: bool | None) -> Iterator[Fault]:
    if reasoning is not True:
        return
    allowed = "only for models that do not reason"
    if "temperature" in request:
        yield Fault("temperature", f"is allowed {allowed}, and this one does", allowed)
    if request.get("force_web_search") is True:
        yield Fault("force_web_search", f"is allowed {allowed}, and this one does", allowed)
    yield from _enough_tokens(request, 1024, "for a reasoning model")


def _claude_reasoning(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    if request.get("use_reasoning") is not True:
        return
    allowed = "only without use_reasoning"
    for name in ("temperature", "top_p"):
        if name in request:
            yield Fault(name, f"is allowed {allowed}, got {shown(request[name])}", allowed)
    if request.get("force_web_search") is True:
        yield Fault("force_web_search", f"is allowed {allowed}", allowed)
    yield from _enough_tokens(request, 1025, "with use_reasoning")


def _gemini_reasoning(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    if request.get("use_reasoning") is True:
        yield from _enough_tokens(request, 1024, "with use_reasoning")


def _roles_in_turn(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    """Roles must alternate, user -> ai (API.md §2); that it begins with user is our reading."""
    for index, role in enumerate(_roles(request)):
        due = ROLES[index % 2]
        if role != due:
            name = f"message_chain[{index}].role"
            allowed = f'"{due}": user and ai must alternate, user first'
            yield Fault(name, f"must be {allowed}, got {shown(role)}", allowed)
            return


def _roles(request: Request) -> list[object]:
    chain = request.get("message_chain")
    if not isinstance(chain, list | tuple):
        return []
    return [item.get("role") for item in chain if isinstance(item, Mapping)]


def _place_for_sonar(request: Request, _reasoning: bool | None) -> Iterator[Fault]:
    name, model = "web_search_country_iso_code", request.get("model_name")
    if name in request and isinstance(model, str) and not model.startswith("sonar"):
        allowed = "only for Sonar models"
        yield Fault(name, f"is allowed {allowed}, and {shown(model)} is none", allowed)


def _enough_tokens(request: Request, minimum: int, when: str) -> Iterator[Fault]:
    # Left out it is 2048, which is enough for every provider.
    tokens = request.get("max_output_tokens")
    if isinstance(tokens, int) and tokens < minimum:
        allowed = f"a whole number from {minimum} to 4096 {when}"
        yield Fault("max_output_tokens", f"must be {allowed}, got {tokens}", allowed)


RULES: Final[dict[Provider, tuple[Rule, ...]]] = {
    Provider.CHAT_GPT: (
        _one_of_temperature_and_top_p,
        _search_before_its_details,
        _no_place_for_early_reasoners,
        _chat_gpt_reasoning,
    ),
    Provider.CLAUDE: (
        _one_of_temperature_and_top_p,
        _search_before_its_details,
        _claude_reasoning,
    ),
    Provider.GEMINI: (_gemini_reasoning,),
    Provider.PERPLEXITY: (_roles_in_turn, _place_for_sonar),
}
"""The demands of a provider; they are the same by every method and gateway (API.md §2)."""


def cautions(provider: Provider, request: Request, reasoning: bool | None) -> Iterator[Caution]:
    """Where the sources differ or only hint (API.md §2, §10)."""
    if provider is Provider.CHAT_GPT and reasoning is True and "top_p" in request:
        yield Caution("top_p", "older documents do not allow it for reasoning models")
    city_alone = "web_search_city" in request and "web_search_country_iso_code" not in request
    if provider is Provider.CLAUDE and city_alone:
        yield Caution(
            "web_search_city",
            "some documents allow it only with web_search_country_iso_code; it may be ignored",
        )
    if provider is Provider.PERPLEXITY and _roles(request)[-1:] == ["user"]:
        yield Caution(
            "message_chain",
            "ends with user, and the prompt is user again; roles must alternate, "
            "so it may be refused",
        )
    if provider is Provider.GEMINI and _is_gemini_pro(request.get("model_name")):
        yield from _pro_reasons_anyway(request)


def _is_gemini_pro(model: object) -> bool:
    return isinstance(model, str) and _GEMINI_PRO.fullmatch(model) is not None


def _pro_reasons_anyway(request: Request) -> Iterator[Caution]:
    if request.get("use_reasoning") is True:
        return
    if request.get("use_reasoning") is False:
        yield Caution("use_reasoning", "Gemini Pro models reason always; false has no effect")
    tokens = request.get("max_output_tokens")
    if isinstance(tokens, int) and tokens < 1024:
        yield Caution(
            "max_output_tokens",
            f"{tokens} may be refused: Gemini Pro models reason always, and that needs 1024",
        )
