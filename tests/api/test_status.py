"""The table of status codes, read a second time from API.md §5, code by code."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.status import (
    TABLE,
    AtCall,
    AtGet,
    AtLive,
    AtPost,
    StatusClass,
    at_call,
    at_get,
    at_live,
    at_post,
    binds_account,
    lookup,
    wait_s,
)

REJECTED, MISDIRECTED, DOUBTFUL = AtCall.REJECTED, AtCall.MISDIRECTED, AtCall.DOUBTFUL
ONE_REFUSED = AtCall.ONE_REFUSED
ACCEPTED, REFUSED, NOT_TAKEN, LOST = (
    AtPost.ACCEPTED,
    AtPost.REFUSED,
    AtPost.NOT_TAKEN,
    AtPost.LOST,
)

# code: whole call, its task with no cost stated, with cost 0, with a cost, at task_get
MEANINGS = {
    20000: (DOUBTFUL, LOST, LOST, LOST, AtGet.ANSWERED),
    20100: (DOUBTFUL, ACCEPTED, ACCEPTED, ACCEPTED, AtGet.RUNNING),
    40000: (ONE_REFUSED, REFUSED, REFUSED, LOST, AtGet.FAILED),
    40001: (DOUBTFUL, REFUSED, REFUSED, LOST, AtGet.GONE),
    40002: (DOUBTFUL, REFUSED, REFUSED, LOST, AtGet.GONE),
    40003: (DOUBTFUL, REFUSED, REFUSED, LOST, AtGet.GONE),
    40004: (DOUBTFUL, REFUSED, REFUSED, LOST, AtGet.GONE),
    40005: (DOUBTFUL, REFUSED, REFUSED, LOST, AtGet.GONE),
    40006: (DOUBTFUL, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.UNCLEAR),
    40100: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40101: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED),
    40102: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED),
    40103: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_RETRYABLE),
    40104: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40200: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.WITHHELD),
    40201: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40202: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40203: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.WITHHELD),
    40204: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40205: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.UNCLEAR),
    40206: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.UNCLEAR),
    40207: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40209: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40210: (REJECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.WITHHELD),
    40400: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40401: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.GONE),
    40402: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40403: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.EXPIRED),
    40404: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40405: (MISDIRECTED, REFUSED, REFUSED, LOST, AtGet.UNCLEAR),
    40406: (MISDIRECTED, REFUSED, REFUSED, LOST, AtGet.UNCLEAR),
    40407: (MISDIRECTED, REFUSED, REFUSED, LOST, AtGet.UNCLEAR),
    40408: (MISDIRECTED, REFUSED, REFUSED, LOST, AtGet.UNCLEAR),
    40501: (ONE_REFUSED, REFUSED, REFUSED, LOST, AtGet.FAILED),
    40502: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40503: (MISDIRECTED, NOT_TAKEN, NOT_TAKEN, LOST, AtGet.COMPLAINT),
    40504: (ONE_REFUSED, REFUSED, REFUSED, LOST, AtGet.FAILED),
    40505: (ONE_REFUSED, REFUSED, REFUSED, LOST, AtGet.FAILED),
    40506: (ONE_REFUSED, REFUSED, REFUSED, LOST, AtGet.FAILED),
    40601: (DOUBTFUL, LOST, LOST, LOST, AtGet.RUNNING),
    40602: (DOUBTFUL, LOST, LOST, LOST, AtGet.RUNNING),
    50000: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50001: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50100: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50301: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50302: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50303: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50304: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50401: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
    50402: (DOUBTFUL, LOST, NOT_TAKEN, LOST, AtGet.FAILED_PERHAPS),
}


def test_the_table_has_every_documented_code_and_no_other() -> None:
    """A code left out would fail closed for ever; one made up would not fail closed at all."""
    assert set(TABLE) == set(MEANINGS)
    assert all(row.meaning and row.advice for row in TABLE.values())


@pytest.mark.parametrize("code", MEANINGS)
def test_each_code_means_what_it_means_in_its_place(code: int) -> None:
    """The same code is success after a post and unfinished when fetching; mixing them up pays."""
    call, unstated, free, charged, fetched = MEANINGS[code]
    assert at_call(code, http_status=200) is call
    assert at_post(code, cost_nanousd=None) is unstated
    assert at_post(code, cost_nanousd=0) is free
    assert at_post(code, cost_nanousd=10_200_000) is charged
    assert at_get(code) is fetched


@given(
    st.integers(-(2**70), 2**70).filter(lambda code: code not in MEANINGS) | st.none(),
    st.none() | st.integers(0, 10**9),
)
def test_an_unheard_of_code_never_proves_that_nothing_was_taken(
    code: int | None, cost: int | None
) -> None:
    """A code of next year's must not lead to a second payment, nor end a task that is paid."""
    assert lookup(code).kind is StatusClass.UNHEARD_OF
    assert at_call(code, http_status=200) is DOUBTFUL
    assert at_post(code, cost_nanousd=cost) is LOST
    assert at_get(code) is AtGet.UNCLEAR


@pytest.mark.parametrize(
    ("http_status", "code", "verdict"),
    [
        (401, 40100, REJECTED),
        (401, 49999, REJECTED),
        (402, 40203, REJECTED),
        (402, 40210, REJECTED),
        (401, 20000, DOUBTFUL),
        (402, 20100, DOUBTFUL),
        (404, 40400, MISDIRECTED),
        (404, 20000, MISDIRECTED),
        (429, 40202, DOUBTFUL),
        (500, 40202, DOUBTFUL),
        (502, 40100, DOUBTFUL),
        (301, 40402, DOUBTFUL),
        (201, 40100, DOUBTFUL),
    ],
)
def test_the_http_status_outranks_the_code(http_status: int, code: int, verdict: AtCall) -> None:
    """Only statuses that the API is documented to use can prove that nothing was created."""
    assert at_call(code, http_status=http_status) is verdict


def test_waits_end_with_the_api_s_own_hour_and_day() -> None:
    """Limits per hour and per day are over when the API's clock says so, not some time later."""
    now = datetime(2026, 11, 21, 22, 59, 30, tzinfo=UTC)
    assert wait_s(StatusClass.DUPLICATE_HOUR, now) == 30
    assert wait_s(StatusClass.DUPLICATE_DAY, now) == 3630
    assert wait_s(StatusClass.DAILY_CAP, now) == 3630
    assert wait_s(StatusClass.RATE, now) == 60
    assert wait_s(StatusClass.NOT_CREATED_RESEND, now) == 0


@given(
    st.sampled_from(StatusClass),
    st.datetimes(timezones=st.just(UTC)),
)
def test_no_wait_is_negative_or_longer_than_a_day(kind: StatusClass, now: datetime) -> None:
    """A task must come back by itself: never in the past, never lost in the future."""
    assert 0 <= wait_s(kind, now) <= 86_400


def test_only_one_code_answers_a_live_call_and_few_leave_it_in_doubt() -> None:
    """There is no second look at a Live call: each code has to be decided here."""
    said = {code: at_live(code, cost_nanousd=0) for code in TABLE}
    assert [code for code, verdict in said.items() if verdict is AtLive.ANSWERED] == [20000]
    lost = {code for code, verdict in said.items() if verdict is AtLive.LOST}
    assert lost == {20100, 40601, 40602, 50401}
    assert {at_live(code, cost_nanousd=0) for code in (None, 40999, 59999)} == {AtLive.LOST}


def test_no_code_that_states_a_cost_lets_a_live_call_be_asked_again() -> None:
    """Paid is paid: only a failure that the API admits to may carry a cost."""
    for code in TABLE:
        verdict = at_live(code, cost_nanousd=1)
        assert verdict in {AtLive.ANSWERED, AtLive.FAILED, AtLive.LOST}, code


def test_a_code_of_one_task_that_holds_for_the_account_is_known_as_such() -> None:
    """Thirty lanes must not find out one by one that the balance is empty."""
    binding = {code for code in TABLE if binds_account(code)}
    assert binding >= {40100, 40104, 40200, 40201, 40202, 40203, 40207, 40209, 40210, 40502}
    assert not binding & {20000, 40000, 40501, 40506, 40101, 40103, 40205, 50000, 50401}
