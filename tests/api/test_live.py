"""What became of a Live task: the only copy of a paid answer, or proof that nothing was paid."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.errors import (
    ApiError,
    CallRejected,
    CredentialsBlocked,
    MoneyBlocked,
    ProtocolFault,
    RateLimited,
    Unreachable,
    WrongAddress,
)
from runner.api.live import (
    AnswerLost,
    Completed,
    LiveOutcome,
    LiveReply,
    RemoteFailed,
    sort_live,
    without_reply,
)
from runner.api.posting import NOT_SENT_WAIT_S
from runner.api.replies import NoReply
from runner.api.status import TABLE
from runner.money import Evidence
from runner.task import Gateway, NotTaken, Refused
from tests.api.mutations import mutated
from tests.api.replies import entry, envelope, reply, sample

NOW = datetime(2026, 11, 21, 22, 59, 30, tzinfo=UTC)
TAG = "run7:000009:a1"
MESSAGE = {"type": "message", "sections": [{"type": "text", "text": "Yes.", "annotations": None}]}


def result(money_spent: Any = 0.005, **fields: Any) -> Any:
    return {"model_name": "sonar", "money_spent": money_spent, "items": [MESSAGE], **fields}


def answered(tag: str | None = TAG, **fields: Any) -> Any:
    return entry(tag, 20000, **{"cost": 0.0056, "result": [result()], **fields})


def came(
    body: bytes, http_status: int = 200, *, gateway: Gateway = Gateway.DATAFORSEO, tag: str = TAG
) -> LiveReply:
    read = reply(body, http_status, mend=True)
    return sort_live(tag, read, gateway=gateway, now=NOW, bare_url=True)


def outcome(body: bytes, http_status: int = 200) -> LiveOutcome:
    return came(body, http_status).outcome


def test_a_reply_with_our_tag_is_an_answer_at_the_cost_it_reports() -> None:
    """The reply is the only copy: answer, cost and the raw bytes have to come out of it."""
    body = envelope(answered())
    got = outcome(body)
    assert isinstance(got, Completed)
    assert got.answer is not None
    assert (got.answer.model_name, got.answer.text) == ("sonar", "Yes.")
    assert got.charge() == (5_600_000, Evidence.REPORTED)
    assert (got.remote_id, got.raw) == ("id-1", body)


def test_the_vendor_s_own_example_has_no_tag_and_is_ours_all_the_same() -> None:
    """The echo leaves fields out (API.md §4); one call has one task, and HTTP pairs the two."""
    got = outcome(sample("live.response.claude"))
    assert isinstance(got, Completed)
    assert got.charge() == (494_050_000, Evidence.REPORTED)


def test_a_price_that_is_not_stated_is_computed_and_says_so() -> None:
    """Nothing may pass for the API's own word that is our arithmetic (DESIGN.md §5)."""
    for cost in (0, None, "much"):
        got = outcome(envelope(answered(cost=cost), cost=cost))
        assert isinstance(got, Completed)
        assert got.charge() == (5_600_000, Evidence.COMPUTED)


def test_a_cost_stated_over_the_call_only_is_the_task_s() -> None:
    """A call has one task, so what it cost is what the task cost."""
    got = outcome(envelope(answered(cost=None), cost=0.0056))
    assert isinstance(got, Completed)
    assert got.charge() == (5_600_000, Evidence.REPORTED)


@pytest.mark.parametrize(
    "entries",
    [
        [answered("somebody-else")],
        [answered(None), answered(None)],
        [answered("somebody-else"), answered(None)],
        [answered(), answered(cost=0.9)],
    ],
    ids=["foreign tag", "two without", "foreign and none", "two that differ"],
)
def test_an_answer_that_may_be_another_s_is_never_taken(entries: list[Any]) -> None:
    """A swapped answer is worse than a lost one: nobody would notice."""
    assert isinstance(outcome(envelope(*entries)), AnswerLost)


def test_our_entry_is_found_among_others() -> None:
    """The tag decides, not the place."""
    got = outcome(envelope(answered("somebody-else", id="no"), answered(id="yes")))
    assert isinstance(got, Completed)
    assert got.remote_id == "yes"


def test_done_without_a_result_is_a_lost_answer_with_its_cost() -> None:
    """Live results are not stored: there is nothing to fetch later (API.md §3)."""
    nothing: Any
    for nothing in (None, []):
        got = outcome(envelope(answered(result=nothing)))
        assert isinstance(got, AnswerLost)
        assert got.cost_nanousd == 5_600_000
        assert "without an answer" in got.why


def test_an_answer_that_cannot_be_read_is_kept_and_booked() -> None:
    """It is paid; throwing it away because of its form would lose it for good."""
    got = outcome(envelope(answered(result=[{"items": "none"}])))
    assert isinstance(got, Completed)
    assert (got.answer, got.parse_error) == (None, "the result has no list of items")
    assert got.charge() == (5_600_000, Evidence.REPORTED)


def test_an_answer_with_damaged_text_is_still_an_answer() -> None:
    """There is no second copy: half an emoji must not cost a paid answer."""
    body = envelope(answered()).replace(b"Yes.", b"Yes \\ud83c \xff.")
    got = outcome(body)
    assert isinstance(got, Completed)
    assert got.answer is not None
    assert got.answer.text == "Yes \ufffd \ufffd."


@pytest.mark.parametrize(
    ("code", "cost", "retryable"),
    [
        (40103, 0, True),
        (40103, 0.02, False),
        (40103, None, False),
        (50301, 0, True),
        (50000, 0.01, False),
        (40101, 0, False),
        (40102, 0, False),
    ],
)
def test_a_failure_is_tried_again_only_if_it_says_that_it_cost_nothing(
    code: int, cost: float | None, retryable: bool
) -> None:
    """A cost of exactly 0 is the only sign of "not charged" (API.md §5)."""
    got = outcome(envelope(entry(TAG, code, cost=cost), cost=cost))
    assert isinstance(got, RemoteFailed)
    assert (got.code, got.retryable) == (code, retryable)
    assert got.cost_nanousd == (None if cost is None else round(cost * 10**9))


@pytest.mark.parametrize("body", [envelope(entry(TAG, 50401, cost=0)), envelope(code=50401)])
def test_the_api_s_own_timeout_is_a_lost_answer(body: bytes) -> None:
    """After 120 s the model may have answered and been paid; 0 in the reply proves nothing."""
    got = came(body)
    assert isinstance(got.outcome, AnswerLost)
    assert (got.outcome.code, got.outcome.cost_nanousd) == (50401, None)


@pytest.mark.parametrize("code", [40000, 40501, 40506])
def test_a_refusal_holds_at_either_level(code: int) -> None:
    """Whether a refusal stands over the call or at its task is not documented; neither stops the
    others."""
    for body in (envelope(entry(TAG, code, cost=0)), envelope(code=code)):
        got = came(body)
        assert isinstance(got.outcome, Refused)
        assert (got.outcome.code, got.trouble) == (code, None)


@pytest.mark.parametrize(
    ("code", "http_status", "trouble"),
    [
        (40100, 401, CredentialsBlocked),
        (40104, 200, CredentialsBlocked),
        (40200, 402, MoneyBlocked),
        (40210, 200, MoneyBlocked),
        (40203, 402, MoneyBlocked),
        (40202, 200, RateLimited),
        (40209, 200, RateLimited),
        (40502, 200, CallRejected),
    ],
)
def test_what_creates_nothing_is_not_taken_at_either_level(
    code: int, http_status: int, trouble: type[ApiError]
) -> None:
    """These may be sent again; a lost answer for each of 30 open calls would cost the run."""
    for body in (envelope(code=code), envelope(entry(TAG, code, cost=0))):
        got = came(body, http_status)
        assert isinstance(got.outcome, NotTaken), got
        assert isinstance(got.trouble, trouble)
        assert got.crowded == (code == 40209)


def test_a_rejection_that_charges_is_believed_in_nothing() -> None:
    """Who takes money for refusing may have asked the model."""
    for body in (
        envelope(code=40202, cost=0.3),
        envelope(entry(TAG, 40501, cost=0.3)),
        envelope(entry(TAG, 40210, cost=0.3)),
    ):
        got = outcome(body)
        assert isinstance(got, AnswerLost)
        assert got.cost_nanousd == 300_000_000


@pytest.mark.parametrize(
    ("body", "http_status", "trouble"),
    [
        (b"", 200, ProtocolFault),
        (b'{"version": "0.1.2025\x00\xff', 200, ProtocolFault),
        (b"<html>Just a moment</html>", 200, ProtocolFault),
        (b"", 307, Unreachable),
        (b"", 502, Unreachable),
        (envelope(code=50000), 500, Unreachable),
        (envelope(code=50000), 200, Unreachable),
        (b"Too Many Requests", 429, RateLimited),
        (b"<html>log in</html>", 401, CredentialsBlocked),
        (envelope(code=20000), 200, None),
        (envelope(code=60123), 200, ProtocolFault),
        (envelope(answered()), 500, Unreachable),
    ],
)
def test_whatever_proves_nothing_is_a_lost_answer(
    body: bytes, http_status: int, trouble: type[ApiError] | None
) -> None:
    """Asked again by itself, each of these might be paid twice."""
    got = came(body, http_status)
    assert isinstance(got.outcome, AnswerLost)
    assert got.sent
    assert type(got.trouble) is (trouble or type(None))


def test_an_address_that_does_not_exist_takes_nothing_and_stops() -> None:
    """A wrong base URL must not turn every task into a lost answer."""
    got = came(b"<html>404</html>", 404)
    assert isinstance(got.outcome, NotTaken)
    assert isinstance(got.trouble, WrongAddress)


def test_bytes_that_never_left_prove_that_nothing_was_asked() -> None:
    """And bytes that may have left prove nothing."""
    unsent = without_reply(TAG, NoReply(why="no connection: refused", may_have_left=False))
    assert unsent.outcome == NotTaken(
        tag=TAG, why="not sent: no connection: refused", wait_s=NOT_SENT_WAIT_S
    )
    assert (unsent.sent, type(unsent.trouble)) == (False, Unreachable)
    cut = without_reply(TAG, NoReply(why="the connection broke", may_have_left=True))
    assert cut.outcome == AnswerLost(tag=TAG, why="the connection broke")
    assert cut.sent


AISA_ERROR = sample("aisa.error")


def aisa_error(kind: str, code: str, message: str = "words") -> bytes:
    error = {"type": kind, "code": code, "message": message, "request_id": "req_1"}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("body", "http_status", "trouble"),
    [
        (AISA_ERROR, 401, CredentialsBlocked),
        (b'{"error":"Unauthorized","message":"Missing key"}', 401, CredentialsBlocked),
        (aisa_error("permission_error", "forbidden"), 403, CredentialsBlocked),
        (aisa_error("plan_error", "subscription_required"), 403, CredentialsBlocked),
        (aisa_error("invalid_request_error", "subscription_required"), 400, CredentialsBlocked),
        (aisa_error("invalid_request_error", "insufficient_credits"), 400, MoneyBlocked),
        (aisa_error("billing_error", "payment_required"), 402, MoneyBlocked),
        (aisa_error("not_found_error", "endpoint_not_found"), 404, WrongAddress),
        (aisa_error("rate_limit_error", "rate_limit_exceeded"), 429, RateLimited),
        (aisa_error("rate_limit_error", "quota_per_minute"), 429, RateLimited),
    ],
)
def test_what_aisa_refuses_in_its_own_words_was_not_passed_on(
    body: bytes, http_status: int, trouble: type[ApiError]
) -> None:
    """Its documented errors come before the paid call; these tasks may be sent again."""
    got = came(body, http_status, gateway=Gateway.AISA)
    assert isinstance(got.outcome, NotTaken)
    assert isinstance(got.trouble, trouble)
    assert "DATAFORSEO" not in "\n".join(got.trouble.lines())


@pytest.mark.parametrize("http_status", [400, 422])
def test_a_request_that_aisa_finds_wrong_is_refused_alone(http_status: int) -> None:
    """One bad row must neither stop the lane nor be asked for ever."""
    body = aisa_error("invalid_request_error", "invalid_field", "max_tokens")
    got = came(body, http_status, gateway=Gateway.AISA)
    assert got.outcome == Refused(
        tag=TAG, code=http_status, message="invalid_field: max_tokens: request req_1"
    )
    assert got.trouble is None


@pytest.mark.parametrize(
    ("body", "http_status"),
    [
        (aisa_error("api_error", "upstream_timeout"), 504),
        (aisa_error("api_error", "internal"), 500),
        (b"slow down", 429),
        (b"<html>nginx</html>", 401),
        (b"{}", 400),
        (b'{"error": {}}', 422),
        (b'{"error": "Unauthorized"}', 401),
        (AISA_ERROR, 200),
        (AISA_ERROR, 302),
    ],
)
def test_what_aisa_does_not_explain_is_a_lost_answer(body: bytes, http_status: int) -> None:
    """A 5xx may come after the model was asked; a bare 4xx may be anybody's."""
    got = came(body, http_status, gateway=Gateway.AISA)
    assert isinstance(got.outcome, AnswerLost)


def test_the_same_words_prove_nothing_when_the_vendor_itself_is_asked() -> None:
    """AIsa's error shape in the vendor's place is some proxy's."""
    assert isinstance(came(AISA_ERROR, 401).outcome, AnswerLost)


def test_both_layers_of_aisa_are_read() -> None:
    """Inside HTTP 200 stands the envelope of the API behind it, with codes of its own."""
    got = came(sample("live.response.claude"), gateway=Gateway.AISA)
    assert isinstance(got.outcome, Completed)
    refused = came(envelope(entry(TAG, 40501, cost=0)), gateway=Gateway.AISA)
    assert isinstance(refused.outcome, Refused)
    crowded = came(envelope(code=40209), gateway=Gateway.AISA)
    assert isinstance(crowded.outcome, NotTaken)
    assert crowded.crowded


@pytest.mark.parametrize("code", [40100, 40104, 40200, 40203, 40207])
def test_aisa_s_own_account_being_blocked_is_no_fault_of_ours(code: int) -> None:
    """Nobody can mend AIsa's login at the API behind it: wait, and do not ask for our password."""
    for body in (envelope(code=code), envelope(entry(TAG, code, cost=0))):
        got = came(body, gateway=Gateway.AISA)
        assert isinstance(got.outcome, NotTaken)
        assert isinstance(got.trouble, Unreachable)
        assert "AIsa's own account" in got.trouble.what


def test_too_many_at_once_at_aisa_is_told_from_too_fast() -> None:
    """The one needs fewer calls open, the other a slower pace."""
    body = aisa_error("rate_limit_error", "concurrency_limit_exceeded")
    assert came(body, 429, gateway=Gateway.AISA).crowded
    body = aisa_error("rate_limit_error", "rate_limit_exceeded")
    got = came(body, 429, gateway=Gateway.AISA)
    assert isinstance(got.trouble, RateLimited)
    assert not got.crowded


def test_a_key_that_aisa_repeats_is_not_repeated_by_us() -> None:
    """Messages are stored and shown; gateways like to quote the key that they refuse."""
    body = aisa_error(
        "authentication_error", "invalid_api_key", "Bad key: sk-aisa-0123456789abcdef"
    )
    got = came(body, 401, gateway=Gateway.AISA)
    assert got.trouble is not None
    said = f"{got.outcome} {got.trouble.lines()}"
    assert "sk-aisa" not in said
    assert "Bad key: ***" in said


@pytest.mark.parametrize("gateway", list(Gateway))
@given(data=st.data())
def test_no_reply_whatever_is_left_without_an_outcome(
    gateway: Gateway, data: st.DataObject
) -> None:
    """Every byte string ends in one of five outcomes, and a 3xx or 5xx in a lost answer."""
    body = data.draw(
        st.one_of(
            st.binary(max_size=200),
            mutated(envelope(answered()), [TAG, "somebody-else"]),
            mutated(sample("aisa.error"), [TAG, "model"]),
            st.sampled_from(sorted(TABLE)).map(lambda code: envelope(entry(TAG, code, cost=0))),
        )
    )
    http_status = data.draw(st.sampled_from([200, 307, 400, 401, 402, 404, 422, 429, 500, 503]))
    got = came(body, http_status, gateway=gateway)
    assert got.outcome.tag == TAG
    if isinstance(got.outcome, Completed):
        assert http_status in {200, 401, 402, 404}
    if http_status >= 500 or 300 <= http_status < 400:
        assert isinstance(got.outcome, AnswerLost)
