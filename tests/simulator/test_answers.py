"""Answers have the shapes of the API's examples, so that parsers meet all of them (API.md §4)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.simulator.answers import bill_for, result_for
from runner.task import Provider
from tests.simulator.helpers import START

PROMPT = "Which dishwasher is quieter, one from Miele or one from Bosch?"
CHEAP = {
    Provider.CHAT_GPT: "gpt-4o-mini",
    Provider.CLAUDE: "claude-3-5-haiku-latest",
    Provider.GEMINI: "gemini-2.5-flash",
}


def answers(provider: Provider, count: int = 40, **fields: Any) -> list[dict[str, Any]]:
    request = {"user_prompt": PROMPT, "model_name": CHEAP[provider]} | fields
    return [result(provider, request, f"id-{number}") for number in range(count)]


def result(provider: Provider, request: dict[str, Any], task_id: str) -> dict[str, Any]:
    spent = bill_for(7, task_id, provider, request).money_spent
    return result_for(7, task_id, provider, request, answered_at=START, money_spent=spent)


def sections(answer: dict[str, Any]) -> list[dict[str, Any]]:
    messages = [item for item in answer["items"] if item["type"] == "message"]
    return [section for message in messages for section in message["sections"]]


def text(answer: dict[str, Any]) -> str:
    return "".join(section["text"] for section in sections(answer))


def citations(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [note for section in sections(answer) for note in section["annotations"] or ()]


def test_the_same_task_always_gets_the_same_answer() -> None:
    """Results may be read again for 30 days; they must not change."""
    request = {"user_prompt": PROMPT, "model_name": "gpt-4o-mini", "web_search": True}
    one, again = (result(Provider.CHAT_GPT, request, "id") for _ in range(2))
    assert one == again
    assert one != result(Provider.CHAT_GPT, request, "other")


def test_answers_speak_of_what_was_asked() -> None:
    """A report of brand mentions has to find some."""
    for answer in answers(Provider.CLAUDE):
        assert "Miele" in text(answer)


def test_a_prompt_without_names_still_gets_brands() -> None:
    """Invented ones then."""
    (answer,) = answers(Provider.CLAUDE, 1, user_prompt="quiet dishwashers?")
    assert len(text(answer)) > 100


def test_without_search_there_are_no_annotations() -> None:
    """null, not an empty list (S000)."""
    for answer in answers(Provider.CHAT_GPT):
        assert {section["annotations"] is None for section in sections(answer)} == {True}
        assert answer["web_search"] is False
        assert answer["fan_out_queries"] is None


def test_with_search_answers_are_cut_at_citations() -> None:
    """Sections joined without a separator give the text; some answers have several messages."""
    found = answers(Provider.CLAUDE, web_search=True)
    assert all(len(sections(answer)) > 2 for answer in found)
    assert any(sum(item["type"] == "message" for item in a["items"]) > 1 for a in found)
    assert all(citations(answer) for answer in found)
    assert all(set(note) == {"title", "url"} for answer in found for note in citations(answer))
    assert all(answer["fan_out_queries"] for answer in found)


def test_a_citation_points_at_its_text() -> None:
    """Indexes count in the text of the message they stand in."""
    for answer in answers(Provider.CHAT_GPT, web_search=True):
        whole = "".join(section["text"] for section in answer["items"][-1]["sections"])
        for note in citations(answer):
            assert whole[note["start_index"] : note["end_index"]] == note["text"]


def test_gemini_cites_through_redirects() -> None:
    """The url is a redirect, the direct one stands beside it (API.md §4)."""
    notes = [
        note for answer in answers(Provider.GEMINI, web_search=True) for note in citations(answer)
    ]
    assert notes
    assert all("redirect" in note["url"] and note["direct_url"] for note in notes)


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        (Provider.CHAT_GPT, {"model_name": "o4-mini"}),
        (Provider.CLAUDE, {"model_name": "claude-sonnet-4-0", "use_reasoning": True}),
        (Provider.GEMINI, {"model_name": "gemini-2.5-pro"}),
    ],
)
def test_reasoning_comes_first_and_apart(provider: Provider, fields: dict[str, Any]) -> None:
    """summary_text sections have no annotations and are no part of the answer."""
    (answer,) = answers(provider, 1, **fields)
    assert answer["items"][0]["type"] == "reasoning"
    assert {section["type"] for section in answer["items"][0]["sections"]} == {"summary_text"}
    assert answer["reasoning_tokens"] > 0


def test_reasoning_tokens_may_be_null_or_absent() -> None:
    """Null for ChatGPT, no such field for Claude: both are in the examples."""
    assert answers(Provider.CHAT_GPT, 1)[0]["reasoning_tokens"] is None
    assert "reasoning_tokens" not in answers(Provider.CLAUDE, 1)[0]


def test_the_dated_model_answers() -> None:
    """The name asked for is not the name that comes back."""
    (answer,) = answers(Provider.CLAUDE, 1, model_name="claude-opus-4-0")
    assert answer["model_name"] == "claude-opus-4-20250514"


def test_answers_leave_ascii() -> None:
    """Encodings break where nobody tries them."""
    assert any(not text(answer).isascii() for answer in answers(Provider.CHAT_GPT))
    assert any(
        "🏆" in text(answer) or "✅" in text(answer) for answer in answers(Provider.CHAT_GPT)
    )


@given(
    task_id=st.text("0123456789abcdef-", min_size=1, max_size=36),
    prompt=st.text(min_size=1, max_size=500),
    search=st.booleans(),
    tokens=st.integers(16, 4096),
)
def test_any_prompt_gets_an_answer_with_a_price(
    task_id: str, prompt: str, search: bool, tokens: int
) -> None:
    """Braces, newlines or one letter: no prompt may break the simulator."""
    request = {
        "user_prompt": prompt,
        "model_name": "gpt-4o-mini",
        "web_search": search,
        "max_output_tokens": tokens,
    }
    bill = bill_for(7, task_id, Provider.CHAT_GPT, request)
    assert bill.money_spent > 0
    assert bill.money_spent % 100 == 0, "seven decimals of a dollar"
    assert search or bill.output_tokens <= tokens
    assert text(result(Provider.CHAT_GPT, request, task_id))
