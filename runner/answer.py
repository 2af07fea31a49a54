"""What a model said: made once for each answer, so of the cheapest kind of frozen value."""

from collections.abc import Mapping
from datetime import datetime

import msgspec


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A source that an answer names."""

    url: str | None
    title: str | None
    text: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    extra: Mapping[str, object] = msgspec.field(default_factory=dict)
    """Fields of the annotation that we have no name for, such as Gemini's direct_url."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said, and what that took."""

    text: str
    reasoning: str | None
    model_name: str | None
    """The dated version that answered."""
    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    web_search: bool | None
    """Whether a search was made; asking for one does not guarantee it."""
    money_spent_nanousd: int
    answered_at: datetime | None
    citations: tuple[Citation, ...]
    fan_out_queries: tuple[str, ...] | None
