"""Which of the listed models a name means.

    gpt-4.1            -> gpt-4.1-2025-04-14          API.md §2: a base name stands for its newest
    claude-opus-4-0    -> claude-opus-4-20250514      dated version; the list may hold both, or
    gemini-1.5-pro     -> gemini-1.5-pro-002          only the dated one

Pure. What a list does not say of a model is None there, and nobody may read that as a no (§9).
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from runner.api.wire import Model
from runner.task import Provider

_ALIAS: Final = re.compile(r"-(?:latest|0)$")
"""How Claude's base names end: claude-opus-4-0, claude-3-7-sonnet-latest."""

_NAMED_FOR_IT: Final = re.compile(r"o[1-9]|gpt-([5-9]|[1-9][0-9])")
"""ChatGPT's models that reason, as far as their names have ever told."""

_DATED: Final = re.compile(r"(.+?)-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4})")
"""A name and its version: a day, with dashes or without, or a number."""


def listed_as(name: str, models: Iterable[Model]) -> Model | None:
    """The model of the list that *name* stands for: itself, or its newest version."""
    listed = {model.name: model for model in models}
    if name in listed:
        return listed[name]
    stems = {name, _ALIAS.sub("", name)}
    dated = [found for known in listed if (found := _DATED.fullmatch(known))]
    versions = [found[0] for found in dated if found[1] in stems]
    return listed[max(versions)] if versions else None


def nearest_names(name: str, models: Iterable[Model], *, most: int = 3) -> tuple[str, ...]:
    """Up to *most* names that the list has a model for and that are like *name*, likest first."""
    listed = [model.name for model in models]
    bare = [found[1] for known in listed if (found := _DATED.fullmatch(known))]
    by_lower = {known.lower(): known for known in (*listed, *bare)}
    close = get_close_matches(name.lower(), by_lower, n=most, cutoff=0.5)
    return tuple(by_lower[each] for each in close)


def says_who_reasons(models: Sequence[Model]) -> bool:
    """Whether the list tells models that reason from others.

    One that was seen in July 2026 said that every ChatGPT model reasons, gpt-4o among them
    (API.md §9): such a list is worth as much as one that says nothing.
    """
    said = [model.reasoning for model in models if model.reasoning is not None]
    return bool(said) and not (len(said) > 1 and all(said))


def always_reasons(provider: Provider, name: str, models: Sequence[Model]) -> bool:
    """Whether *name* reasons though nobody asks it to, which may cost well over the advance.

    Of ChatGPT it is a property of the model, and Gemini's Pro models have it forced on (API.md §2);
    Claude's reason when they are told to. Where *models* does not tell, the name is gone by.
    """
    model = listed_as(name, models)
    if provider is Provider.CHAT_GPT:
        if model is not None and model.reasoning is not None and says_who_reasons(models):
            return model.reasoning
        return _NAMED_FOR_IT.match(name) is not None
    forced = provider is Provider.GEMINI and "-pro" in name
    return forced and (model is None or model.reasoning is not False)
