"""A request is told again by what the API shows of it: the same question, model and settings."""

from decimal import Decimal

import pytest

from runner.parameters import request_digest

ASKED = {"model_name": "some-model", "temperature": 0.3, "user_prompt": "Why?", "top_p": 1}


@pytest.mark.parametrize(
    "shown",
    [
        dict(reversed(ASKED.items())),
        ASKED | {"tag": "ours", "postback_url": "https://example.org/$id"},
        ASKED | {"function": "llm_responses", "se_type": "of the API's own"},
        ASKED | {"temperature": Decimal("0.3"), "top_p": 1.0},
        ASKED | {"system_message": None},
    ],
)
def test_what_is_added_to_a_request_on_its_way_changes_nothing(shown: dict[str, object]) -> None:
    """Else nothing that was paid for would ever be taken up."""
    assert request_digest(shown) == request_digest(ASKED)


@pytest.mark.parametrize(
    "other",
    [
        ASKED | {"user_prompt": "Why? "},
        ASKED | {"temperature": 0.30001},
        ASKED | {"web_search": False},
        ASKED | {"top_p": 10**400},
        ASKED | {"top_p": "1"},
        {k: v for k, v in ASKED.items() if k != "temperature"},
        ASKED | {"message_chain": [{"role": "user", "message": "Hello."}]},
    ],
)
def test_whatever_a_job_can_say_otherwise_is_another_request(other: dict[str, object]) -> None:
    """Its answer would be given for a question that nobody asked."""
    assert request_digest(other) != request_digest(ASKED)
