"""What the API takes and what it refuses, field by field (API.md §2)."""

from typing import Any

import pytest

from runner.simulator.validation import refusal_of
from runner.task import Provider

MODEL = {
    Provider.CHAT_GPT: "gpt-4o-mini",
    Provider.CLAUDE: "claude-sonnet-4-0",
    Provider.GEMINI: "gemini-2.5-flash",
}


def refused(provider: Provider, **fields: Any) -> tuple[int, str] | None:
    return refusal_of(provider, {"user_prompt": "q", "model_name": MODEL[provider]} | fields)


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        (Provider.CHAT_GPT, {"user_prompt": "é" * 500, "temperature": 2, "tag": "t" * 255}),
        (Provider.CHAT_GPT, {"model_name": "o4-mini", "max_output_tokens": 1024}),
        (Provider.CHAT_GPT, {"web_search": True, "web_search_country_iso_code": "FR"}),
        (Provider.CHAT_GPT, {"model_name": "gpt-9-ultra"}),
        (Provider.CLAUDE, {"temperature": 0.0, "top_p": None, "max_output_tokens": 1}),
        (Provider.CLAUDE, {"use_reasoning": True, "max_output_tokens": 1025}),
        (Provider.CLAUDE, {"web_search": True, "force_web_search": True, "web_search_city": "X"}),
        (Provider.CLAUDE, {"message_chain": [{"role": "user", "message": "hi"}] * 10}),
        (Provider.GEMINI, {"temperature": 0.3, "top_p": 0.5, "max_output_tokens": 200}),
        (Provider.GEMINI, {"postback_url": "https://example.org/?id=$id"}),
    ],
)
def test_what_the_documentation_allows_is_taken(provider: Provider, fields: Any) -> None:
    """A simulator that is stricter than the API would send people after no mistakes of theirs."""
    assert refused(provider, **fields) is None


@pytest.mark.parametrize(
    ("provider", "fields", "named"),
    [
        (Provider.CHAT_GPT, {"user_prompt": "é" * 501}, "user_prompt"),
        (Provider.CHAT_GPT, {"user_prompt": ""}, "user_prompt"),
        (Provider.CHAT_GPT, {"user_prompt": 7}, "user_prompt"),
        (Provider.CHAT_GPT, {"model_name": None}, "model_name"),
        (Provider.CHAT_GPT, {"model_name": "claude-sonnet-4-0"}, "model_name"),
        (Provider.CHAT_GPT, {"temperature": 2.01}, "temperature"),
        (Provider.CHAT_GPT, {"temperature": True}, "temperature"),
        (Provider.CHAT_GPT, {"temperature": 0.5, "top_p": 0.5}, "top_p"),
        (Provider.CHAT_GPT, {"max_output_tokens": 15}, "max_output_tokens"),
        (Provider.CHAT_GPT, {"max_output_tokens": 4097}, "max_output_tokens"),
        (Provider.CHAT_GPT, {"model_name": "o4-mini", "temperature": 1}, "temperature"),
        (Provider.CHAT_GPT, {"model_name": "o4-mini", "max_output_tokens": 99}, "max_output"),
        (Provider.CHAT_GPT, {"model_name": "o3-mini", "web_search": True}, "web_search"),
        (Provider.CHAT_GPT, {"force_web_search": True}, "force_web_search"),
        (Provider.CHAT_GPT, {"web_search_country_iso_code": "FR"}, "country"),
        (Provider.CHAT_GPT, {"tag": "t" * 256}, "tag"),
        (Provider.CLAUDE, {"temperature": 1.1}, "temperature"),
        (Provider.CLAUDE, {"temperature": 0.5, "top_p": 0.5}, "top_p"),
        (Provider.CLAUDE, {"web_search_country_iso_code": "UA"}, "country"),
        (Provider.CLAUDE, {"use_reasoning": True, "max_output_tokens": 1024}, "max_output"),
        (Provider.CLAUDE, {"use_reasoning": True, "temperature": 0.1}, "temperature"),
        (Provider.CLAUDE, {"system_message": "s" * 501}, "system_message"),
        (Provider.CLAUDE, {"message_chain": [{"role": "user", "message": "q"}] * 11}, "chain"),
        (Provider.CLAUDE, {"message_chain": [{"role": "system", "message": "q"}]}, "chain"),
        (Provider.CLAUDE, {"message_chain": [{"role": "ai", "message": "q" * 501}]}, "chain"),
        (Provider.GEMINI, {"use_reasoning": True, "max_output_tokens": 1023}, "max_output"),
        (Provider.GEMINI, {"model_name": "gemini-2.5-pro", "max_output_tokens": 9}, "max_output"),
        (Provider.GEMINI, {"top_p": 1.2}, "top_p"),
    ],
)
def test_what_the_documentation_forbids_is_an_invalid_field(
    provider: Provider, fields: Any, named: str
) -> None:
    """40501, and the message names the field."""
    refusal = refused(provider, **fields)
    assert refusal is not None
    assert refusal[0] == 40501
    assert named in refusal[1]


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        (Provider.CHAT_GPT, "use_reasoning"),
        (Provider.GEMINI, "force_web_search"),
        (Provider.GEMINI, "web_search_country_iso_code"),
        (Provider.CLAUDE, "priority"),
        (Provider.CLAUDE, "postback_data"),
    ],
)
def test_a_field_of_another_provider_is_unknown(provider: Provider, field: str) -> None:
    """Unknown fields are an error, not ignored (API.md §0.9)."""
    refusal = refused(provider, **{field: True})
    assert refusal is not None
    assert refusal[0] == 40506
    assert field in refusal[1]


def test_only_listed_models_pass_when_told_so() -> None:
    """Strictness is a choice: a rehearsal must not fail because a model is newer than this file."""
    task = {"user_prompt": "q", "model_name": "gpt-9-ultra"}
    assert refusal_of(Provider.CHAT_GPT, task) is None
    assert refusal_of(Provider.CHAT_GPT, task, listed_only=True) is not None


@pytest.mark.parametrize("sent", [None, 7, "text", ["list"]])
def test_what_is_no_object_is_refused(sent: object) -> None:
    """A task is a JSON object."""
    assert refusal_of(Provider.CLAUDE, sent) == (40501, "Invalid Field: 'data'.")
