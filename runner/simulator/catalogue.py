"""The models of each provider: what ``models`` lists, and how a base name becomes a dated one.

Source: API.md §9. The lists rotate; these are examples, not a contract. A model outside them is
judged by its family, so that a rehearsal with tomorrow's model works (``listed_models_only`` off).
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from runner.task import Provider


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the ``models`` endpoint describes it, and what a token of it costs."""

    name: str
    dated: str
    """The version that a base name stands for, and that answers."""
    reasoning: bool
    web_search: bool
    input_price: int
    """Nano-dollars a token."""
    output_price: int


def _rows(*rows: tuple[str, str, bool, bool, int, int]) -> dict[str, Model]:
    models: dict[str, Model] = {}
    for name, date, reasoning, searching, input_price, output_price in rows:
        dated = f"{name}{date}" if not date or date.startswith("-") else date
        model = Model(name, dated, reasoning, searching, input_price, output_price)
        models[name] = model
        models.setdefault(dated, replace(model, name=dated))
    return models


MODELS: Final[dict[Provider, dict[str, Model]]] = {
    Provider.CHAT_GPT: _rows(
        ("o4-mini", "-2025-04-16", True, True, 1100, 4400),
        ("o3-mini", "-2025-01-31", True, False, 1100, 4400),
        ("o1", "-2024-12-17", True, False, 15000, 60000),
        ("gpt-5", "-2025-08-07", True, True, 1250, 10000),
        ("gpt-5-mini", "-2025-08-07", True, True, 250, 2000),
        ("gpt-5-nano", "-2025-08-07", True, True, 50, 400),
        ("gpt-4o", "-2024-08-06", False, True, 2500, 10000),
        ("gpt-4o-mini", "-2024-07-18", False, True, 150, 600),
        ("gpt-4.1", "-2025-04-14", False, True, 2000, 8000),
        ("gpt-4.1-mini", "-2025-04-14", False, True, 400, 1600),
        ("gpt-4.1-nano", "-2025-04-14", False, False, 100, 400),
        ("gpt-3.5-turbo-1106", "", False, False, 1000, 2000),
    ),
    Provider.CLAUDE: _rows(
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514", True, True, 3000, 15000),
        ("claude-opus-4-0", "claude-opus-4-20250514", True, True, 15000, 75000),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219", True, True, 3000, 15000),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", False, True, 3000, 15000),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", False, True, 800, 4000),
        ("claude-3-opus-latest", "claude-3-opus-20240229", False, False, 15000, 75000),
        ("claude-3-haiku-20240307", "", False, False, 250, 1250),
    ),
    Provider.GEMINI: _rows(
        ("gemini-2.5-pro", "", True, True, 1250, 10000),
        ("gemini-2.5-flash", "", True, True, 300, 2500),
        ("gemini-2.5-flash-lite", "", True, True, 100, 400),
        ("gemini-2.0-flash", "-001", False, True, 100, 400),
        ("gemini-2.0-flash-lite", "-001", False, False, 75, 300),
        ("gemini-1.5-pro", "-002", False, True, 1250, 5000),
    ),
    Provider.PERPLEXITY: _rows(
        ("sonar-reasoning-pro", "", True, True, 2000, 8000),
        ("sonar-pro", "", False, True, 3000, 15000),
        ("sonar", "", False, True, 1000, 1000),
    ),
}

_FAMILIES: Final = {
    Provider.CHAT_GPT: re.compile(r"(gpt-\d|chatgpt-|o\d)[\w.-]*"),
    Provider.CLAUDE: re.compile(r"claude-[\w.-]+"),
    Provider.GEMINI: re.compile(r"gemini-[\w.-]+"),
    Provider.PERPLEXITY: re.compile(r"sonar[\w.-]*"),
}

_REASONERS: Final = re.compile(r"(o\d|gpt-[5-9]|gemini-(2\.5|[3-9])|claude-(opus|sonnet|haiku)-).*")


def find_model(provider: Provider, name: str, *, listed_only: bool) -> Model | None:
    """The model called *name*; None if the provider has none such."""
    model = MODELS[provider].get(name)
    if model is not None or listed_only or not _FAMILIES[provider].fullmatch(name):
        return model
    return Model(name, name, bool(_REASONERS.fullmatch(name)), True, 2000, 8000)


def thinks_always(provider: Provider, name: str) -> bool:
    """Gemini Pro models reason whatever the request says (API.md §2, use_reasoning)."""
    return provider is Provider.GEMINI and "-pro" in name and not name.startswith("gemini-1.")
