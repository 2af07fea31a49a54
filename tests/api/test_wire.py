"""The API's JSON in both directions."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.answer import Answer
from runner.api.answers import answer_of
from runner.api.jsontext import Unreadable, decode_mended
from runner.api.requests import encode_post
from runner.api.wire import (
    AccountData,
    Ready,
    account_data,
    read_envelope,
    ready_rows,
)
from runner.rows import Attempt
from runner.task import RemoteId, TaskId
from tests.api.replies import envelope, sample


def attempt(number: int, body: bytes, tag: str | None = None) -> Attempt:
    return Attempt(task=TaskId(number), number=1, tag=tag or f"tag-{number}", body=body)


def parse_answer(result: bytes) -> Answer:
    """The answer in one element of ``result``, as the client reads it."""
    return answer_of(decode_mended(result))


def answer(**fields: Any) -> Answer:
    return parse_answer(json.dumps({"items": [], **fields}).encode())


def result_of(name: str) -> bytes:
    return json.dumps(json.loads(sample(name))["tasks"][0]["result"][0]).encode()


def test_a_request_goes_out_byte_for_byte_with_its_tag() -> None:
    """A temperature read as a float and written again would be another number than was checked."""
    body = encode_post(
        [
            attempt(1, b'{"user_prompt":"\xc3\xa9 \\u00e9","temperature":0.30,"top_p":1e-1}'),
            attempt(2, b"{}"),
        ]
    )
    assert body == (
        b'[{"user_prompt":"\xc3\xa9 \\u00e9","temperature":0.30,"top_p":1e-1,"tag":"tag-1"},'
        b'{"tag":"tag-2"}]'
    )


def test_the_sample_request_is_what_we_would_send() -> None:
    """Our encoding of a request is the documented shape: an array of objects, tags inside."""
    tasks = json.loads(sample("task_post.request.claude"))
    attempts = [
        attempt(
            number, json.dumps({k: v for k, v in task.items() if k != "tag"}).encode(), task["tag"]
        )
        for number, task in enumerate(tasks)
    ]
    assert json.loads(encode_post(attempts)) == tasks


@pytest.mark.parametrize(
    "attempts",
    [
        [],
        [attempt(n, b"{}") for n in range(101)],
        [attempt(1, b"{}", "same"), attempt(2, b"{}", "same")],
        [attempt(1, b'{"tag": "its own"}')],
        [attempt(1, b"{}", "t" * 256)],
        [attempt(1, b"[]")],
        [attempt(1, b'{"a": 1}, {"b": 2}')],
        [attempt(1, b"")],
    ],
)
def test_a_call_that_could_not_be_told_apart_afterwards_is_never_built(
    attempts: list[Attempt],
) -> None:
    """Tags are all that reconciles a post: they must be there, once each, within the limits."""
    with pytest.raises(ValueError, match=r"task|tag"):
        encode_post(attempts)


def test_the_vendor_s_claude_example_reads_as_one_text() -> None:
    """Sections are fragments cut at citations; a separator between them would tear sentences."""
    got = parse_answer(result_of("task_get.response.claude.done"))
    assert got.text.startswith(
        "Based on my research, I can provide you with comprehensive i…With a"
    )
    assert "\n- **Puy du Fou**: 2,800,000 visitors" in got.text
    assert got.model_name == "claude-sonnet-4-20250514"
    assert (got.input_tokens, got.output_tokens, got.reasoning_tokens) == (15435, 956, None)
    assert got.money_spent_nanousd == 40_322_500
    assert got.answered_at == datetime(2025, 7, 24, 19, 39, 46, tzinfo=UTC)
    assert [c.title for c in got.citations][:1] == ["No. 1 amusement park in France | Puy du Fou"]
    assert len(got.citations) == 3
    assert got.reasoning is None
    assert got.fan_out_queries is None


def test_reasoning_is_kept_apart_from_the_answer() -> None:
    """A summary of thoughts is no part of what the model said to the user."""
    got = parse_answer(result_of("task_get.response.gemini.done"))
    assert got.text.startswith("The amusement park business")
    assert got.reasoning is not None
    assert got.reasoning.count("\n\n") == 2
    assert "riddle" not in got.text
    assert got.reasoning_tokens == 576
    assert got.fan_out_queries is not None
    assert len(got.fan_out_queries) == 5


def test_many_messages_make_one_text() -> None:
    """A first message may be only `I'll search`; the answer is all of them (API.md §4)."""
    got = parse_answer(result_of("live.response.claude"))
    assert got.text.startswith("I'll search for")
    assert got.text.count("…") >= 5
    assert len(got.citations) == 2


def test_new_item_types_and_fields_break_nothing() -> None:
    """The API may grow at any time; what we do not know yet stays in the raw reply."""
    items = [
        {"type": "image", "sections": [{"type": "png", "text": "not said"}]},
        {"sections": [{"text": "typeless"}]},
        "no object",
        {"type": "message"},
        {"type": "message", "sections": ["no object", {"type": "text", "text": 5}]},
        {
            "type": "message",
            "mood": "new",
            "sections": [
                {
                    "type": "text",
                    "text": "said",
                    "annotations": [
                        "no object",
                        {
                            "title": "t",
                            "url": "u",
                            "start_index": 4,
                            "direct_url": "d",
                            "score": 0.5,
                            "deep": {"n": [1, 2.5]},
                        },
                    ],
                }
            ],
        },
    ]
    got = answer(items=items, fan_out_queries=["q", 7, None], new_field={"a": 1})
    assert got.text == "said"
    assert got.fan_out_queries == ("q",)
    (citation,) = got.citations
    assert (citation.url, citation.title, citation.start_index) == ("u", "t", 4)
    assert citation.extra == {"direct_url": "d", "score": 0.5, "deep": {"n": [1, 2.5]}}


@pytest.mark.parametrize("odd", [None, "x", -1, 1.5, True, [], {}, 1e308, 2**64])
def test_an_odd_field_costs_only_itself(odd: object) -> None:
    """An answer that was paid for is not thrown away because a counter beside it is strange."""
    got = answer(
        items=[{"type": "message", "sections": [{"text": "kept"}]}],
        input_tokens=odd,
        output_tokens=odd,
        reasoning_tokens=odd,
        datetime=odd,
        fan_out_queries=odd,
        money_spent=odd if odd != 1.5 else "1.5",
    )
    assert got.text == "kept"
    assert (got.input_tokens, got.output_tokens, got.reasoning_tokens) == (None, None, None)
    assert got.money_spent_nanousd == 0
    assert got.answered_at is None
    assert got.fan_out_queries in (None, ())


@pytest.mark.parametrize(
    "text", [b"null", b"[]", b"{}", b'{"items": null}', b'{"items": {}}', b"{"]
)
def test_a_result_that_is_no_answer_says_so(text: bytes) -> None:
    """An empty text in its place would pass for an answer."""
    with pytest.raises(Unreadable):
        parse_answer(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-07-24 19:39:46 +00:00", (19, 39, 46)),
        ("2025-07-24 19-39-46 +00:00", (19, 39, 46)),
        ("2025-07-24 21:39:46 +02:00", (19, 39, 46)),
        ("2025-07-24T19:39:46Z", (19, 39, 46)),
        ("2025-07-24 19:39:46", (19, 39, 46)),
        ("2025-07-24 25:39:46 +00:00", None),
        ("2025-02-30 19:39:46 +00:00", None),
        ("2025-07-24 19:39:46 +99:00", None),
        ("0001-01-01 00:00:00 +12:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_both_spellings_of_a_moment_are_read(
    text: str, moment: tuple[int, int, int] | None
) -> None:
    """The documentation's text and its examples disagree about the time's separator."""
    wanted = moment and datetime(2025, 7, 24, *moment, tzinfo=UTC)
    assert answer(datetime=text).answered_at == wanted


@given(st.decimals(min_value=0, max_value=1000, places=9))
def test_a_price_is_read_to_the_last_of_nine_decimals(price: Decimal) -> None:
    """Cost reports agree with the API's to the nano-dollar, or they cannot be checked at all."""
    raw = b'{"items": [], "money_spent": %s}' % f"{price:f}".encode()
    assert parse_answer(raw).money_spent_nanousd == int(price * 10**9)


def test_ready_rows_are_the_ids_inside_the_result() -> None:
    """The id beside it is that of the listing call; others took that one (API.md §4)."""
    got = ready_rows(read_envelope(sample("tasks_ready.response.chat_gpt")))
    assert got == [Ready(id=RemoteId("07141025-0696-0613-1000-29a9acb77e9c"), tag="run7:000001:a1")]


@pytest.mark.parametrize(
    "body",
    [
        sample("tasks_ready.response.empty"),
        envelope(),
        envelope(tasks=[]),
        envelope({"result": []}),
        envelope({}),
        envelope("no object", None, 5),
        envelope({"result": [None, "x", {}, {"id": 5}, {"id": ""}, {"id": "a b"}, {"id": ".."}]}),
    ],
)
def test_every_way_to_say_that_nothing_is_ready_is_understood(body: bytes) -> None:
    """The form of an empty list is not documented (API.md §4)."""
    assert ready_rows(read_envelope(body)) == []


def test_the_account_is_read_as_far_as_it_is_told() -> None:
    """Login, balance and limit decide whether and how fast to post."""
    assert account_data(read_envelope(sample("user_data.response"))) == AccountData(
        login="login@example.org",
        balance_nanousd=41_370_000_000,
        calls_per_minute=10_000,
        task_price_nanousd=200_000,
    )


def test_a_limit_of_zero_states_none_and_the_lowest_stated_one_binds() -> None:
    """0 means `no limit of this kind is set`; read as a limit it would stop everything."""

    def limit(minute: object) -> int | None:
        user = {"rates": {"limits": {"minute": minute}}}
        return account_data(read_envelope(envelope({"result": [user]}))).calls_per_minute

    assert limit({"total": 0}) is None
    assert limit({"total": 2000, "ai_optimization": {"llm_responses": {"task_post": 600}}}) == 600
    assert limit({"total": 0, "ai_optimization": {"llm_responses": {"task_get": 900}}}) == 900
    assert limit([]) is None


@pytest.mark.parametrize("body", [envelope(), envelope({}), envelope({"result": ["x"]})])
def test_an_account_that_tells_nothing_is_no_error(body: bytes) -> None:
    """All of user_data is optional; the call's success alone proves login and base URL."""
    assert account_data(read_envelope(body)) == AccountData(
        login=None, balance_nanousd=None, calls_per_minute=None, task_price_nanousd=None
    )


def test_a_negative_balance_is_read_as_one() -> None:
    """It is why answers are withheld (API.md §5), so it must not vanish."""
    body = envelope({"result": [{"money": {"balance": -3.5}}]})
    assert account_data(read_envelope(body)).balance_nanousd == -3_500_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        sample("aisa.error"),
        b'{"status_code": 200, "tasks": null}',
        b'{"status_code": "20000", "tasks": null}',
        b'{"status_code": true}',
        b'{"status_code": 20000, "tasks": {}}',
    ],
)
def test_json_of_somebody_else_is_not_taken_for_the_api_s(body: bytes) -> None:
    """A proxy's JSON must not pass for the word of the API about money."""
    with pytest.raises(Unreadable):
        read_envelope(body)


def test_the_api_s_words_are_fit_for_a_terminal() -> None:
    """A message may hold anything; shown raw it could rewrite the user's screen."""
    read = read_envelope(envelope(status_message="bad\x1b[2J\nfield" + "x" * 1000))
    assert read.message.startswith("bad [2J field")
    assert len(read.message) <= 500
