"""API.md §2 written down a second time, by hand: what each provider takes and what it refuses.

Nothing of this is read from ``runner.parameters``, so that one misreading cannot pass on both
sides.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

METHODS: Final = {
    ("dataforseo", "chat_gpt"): ["standard", "live"],
    ("dataforseo", "claude"): ["standard", "live"],
    ("dataforseo", "gemini"): ["standard", "live"],
    ("dataforseo", "perplexity"): ["live"],
    ("aisa", "chat_gpt"): ["live"],
    ("aisa", "claude"): ["live"],
    ("aisa", "gemini"): ["live"],
    ("aisa", "perplexity"): [],
}
"""§1 and §12."""

MODELS: Final = {
    "chat_gpt": "gpt-4o",
    "claude": "claude-sonnet-4-0",
    "gemini": "gemini-2.5-flash",
    "perplexity": "sonar",
}

_EVERYWHERE: Final = (
    "user_prompt model_name max_output_tokens temperature top_p system_message message_chain"
)
TAKEN: Final = {
    "chat_gpt": f"{_EVERYWHERE} web_search force_web_search web_search_country_iso_code "
    "web_search_city",
    "claude": f"{_EVERYWHERE} web_search force_web_search web_search_country_iso_code "
    "web_search_city use_reasoning",
    "gemini": f"{_EVERYWHERE} web_search use_reasoning",
    "perplexity": f"{_EVERYWHERE} web_search_country_iso_code",
}
"""The fields of the table that have no "no" in the provider's column, and are a person's to set."""

EXAMPLES: Final[dict[str, object]] = {
    "max_output_tokens": 2048,
    "temperature": 0.5,
    "top_p": 0.5,
    "web_search": True,
    "force_web_search": True,
    "web_search_country_iso_code": "US",
    "web_search_city": "Boston",
    "system_message": "Be brief.",
    "message_chain": [
        {"role": "user", "message": "Hello"},
        {"role": "ai", "message": "Hello. What is it?"},
    ],
    "use_reasoning": True,
}
"""A sound value of each field."""


class Combination(NamedTuple):
    """Fields that go together, or do not."""

    providers: str
    fields: dict[str, object]
    at: str = ""
    """The field that is at fault; empty if all is well."""
    model: str | None = None
    reasons: bool | None = None
    """What the list of models says."""


def turns(count: int, length: int = 5, first: str = "user") -> list[dict[str, str]]:
    """A conversation of *count* messages of *length* characters."""
    roles = ["user", "ai"] if first == "user" else ["ai", "user"]
    return [{"role": roles[n % 2], "message": "x" * length} for n in range(count)]


_ALL: Final = "chat_gpt claude gemini perplexity"
_OPEN: Final[dict[str, object]] = {"web_search": True}
_GERMANY: Final[dict[str, object]] = {"web_search_country_iso_code": "DE"}
_BOTH: Final[dict[str, object]] = {"temperature": 0.5, "top_p": 0.5}

ALLOWED: Final = [
    Combination(_ALL, {}),
    Combination(_ALL, {"user_prompt": "x" * 500, "system_message": "y" * 500}),
    Combination(_ALL, {"max_output_tokens": 4096, "top_p": 1}),
    Combination(_ALL, {"temperature": 0, "message_chain": turns(10, 500)}),
    Combination("chat_gpt", {"max_output_tokens": 16, "temperature": 2}, reasons=False),
    Combination("chat_gpt", {"max_output_tokens": 1024, "top_p": 0.3}, reasons=True),
    Combination("chat_gpt", {"max_output_tokens": 16, "temperature": 2}),
    Combination("claude", {"max_output_tokens": 1, "temperature": 1}),
    Combination("gemini", {"max_output_tokens": 1, "temperature": 2}),
    Combination("perplexity", {"max_output_tokens": 1, "temperature": 1.9}),
    Combination("gemini perplexity", _BOTH),
    Combination("chat_gpt claude", _OPEN | {"force_web_search": True} | _GERMANY),
    Combination("chat_gpt claude", _OPEN | _GERMANY | {"web_search_city": "Berlin"}),
    Combination("chat_gpt claude", {"web_search": False, "force_web_search": False}),
    Combination("chat_gpt", _OPEN | {"web_search_country_iso_code": "IS"}),
    Combination("chat_gpt", _OPEN | _GERMANY, model="o4-mini", reasons=True),
    Combination("gemini", _OPEN),
    Combination("perplexity", _GERMANY, model="sonar-reasoning-pro"),
    Combination("claude", {"use_reasoning": True, "max_output_tokens": 1025} | _OPEN),
    Combination("claude", {"use_reasoning": True, "force_web_search": False} | _OPEN),
    Combination("claude gemini", {"use_reasoning": True}),
    Combination("claude gemini", {"use_reasoning": False, "temperature": 1}),
    Combination("gemini", {"use_reasoning": True, "max_output_tokens": 1024} | _BOTH),
    Combination("chat_gpt claude gemini", {"message_chain": turns(3, first="ai")}),
    Combination("chat_gpt claude gemini", {"message_chain": turns(1) + turns(1)}),
    Combination("perplexity", {"message_chain": turns(2)}),
]

_REASONING: Final[dict[str, object]] = {"use_reasoning": True}

FORBIDDEN: Final = [
    Combination(_ALL, {"user_prompt": "x" * 501}, "user_prompt"),
    Combination(_ALL, {"user_prompt": ""}, "user_prompt"),
    Combination(_ALL, {"system_message": "x" * 501}, "system_message"),
    Combination(_ALL, {"max_output_tokens": 4097}, "max_output_tokens"),
    Combination(_ALL, {"max_output_tokens": 0}, "max_output_tokens"),
    Combination(_ALL, {"top_p": 1.01}, "top_p"),
    Combination(_ALL, {"top_p": -0.01}, "top_p"),
    Combination(_ALL, {"temperature": -0.01}, "temperature"),
    Combination("chat_gpt gemini", {"temperature": 2.01}, "temperature"),
    Combination("claude", {"temperature": 1.01}, "temperature"),
    Combination("perplexity", {"temperature": 1.91}, "temperature"),
    Combination("chat_gpt", {"max_output_tokens": 15}, "max_output_tokens"),
    Combination("chat_gpt", {"max_output_tokens": 1023}, "max_output_tokens", reasons=True),
    Combination("chat_gpt", {"temperature": 0.5}, "temperature", reasons=True),
    Combination("chat_gpt", _OPEN | {"force_web_search": True}, "force_web_search", reasons=True),
    Combination("chat_gpt claude", _BOTH, "top_p"),
    Combination("chat_gpt claude", {"force_web_search": True}, "force_web_search"),
    Combination(
        "chat_gpt claude", {"web_search": False, "force_web_search": True}, "force_web_search"
    ),
    Combination("chat_gpt claude", _GERMANY, "web_search_country_iso_code"),
    Combination("chat_gpt claude", {"web_search_city": "Berlin"}, "web_search_city"),
    *(
        Combination("chat_gpt", _OPEN | {name: place}, name, model=model)
        for model in ("o3-mini", "o1-pro", "o1", "o3-mini-2025-01-31", "o1-2024-12-17")
        for name, place in (
            ("web_search_country_iso_code", "DE"),
            ("web_search_city", "Berlin"),
        )
    ),
    Combination(
        "claude", _OPEN | {"web_search_country_iso_code": "IS"}, "web_search_country_iso_code"
    ),
    Combination(_ALL, {"web_search_country_iso_code": "de"}, "web_search_country_iso_code"),
    Combination("claude", _REASONING | {"max_output_tokens": 1024}, "max_output_tokens"),
    Combination("claude", _REASONING | {"temperature": 0.5}, "temperature"),
    Combination("claude", _REASONING | {"top_p": 0.5}, "top_p"),
    Combination("claude", _REASONING | _OPEN | {"force_web_search": True}, "force_web_search"),
    Combination("gemini", _REASONING | {"max_output_tokens": 1023}, "max_output_tokens"),
    Combination("perplexity", _GERMANY, "web_search_country_iso_code", model="r1-1776"),
    Combination(_ALL, {"message_chain": turns(11)}, "message_chain"),
    Combination(_ALL, {"message_chain": turns(1, 501)}, "message_chain[0].message"),
    Combination(
        _ALL,
        {"message_chain": [{"role": "assistant", "message": "Hi"}]},
        "message_chain[0].role",
    ),
    Combination("perplexity", {"message_chain": turns(2, first="ai")}, "message_chain[0].role"),
    Combination("perplexity", {"message_chain": turns(1) * 2}, "message_chain[1].role"),
    *(
        Combination(_ALL, {name: value}, name)
        for name, value in (
            ("tag", "mine"),
            ("postback_url", "https://example.com/postback"),
            ("pingback_url", "https://example.com/pingback"),
            ("postback_data", "advanced"),
            ("priority", 2),
            ("location_code", 2840),
            ("language_code", "en"),
        )
    ),
]


def endpoints(providers: str = _ALL) -> Iterator[tuple[str, str, str]]:
    """Gateway, provider and method of each way to ask one of *providers*."""
    for (gateway, provider), methods in METHODS.items():
        for method in methods if provider in providers.split() else []:
            yield gateway, provider, method
