"""What task_get says about a task: read rightly, and never attached to another."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.errors import (
    ApiError,
    Block,
    CallRejected,
    CredentialsBlocked,
    ProtocolFault,
    RateLimited,
    Unreachable,
    WrongAddress,
)
from runner.api.fetching import (
    Expired,
    Fetched,
    Finished,
    Gone,
    Running,
    TaskFailed,
    Unclear,
    Withheld,
    read_fetched,
)
from runner.task import Tag, TaskId
from tests.api.mutations import mutated
from tests.api.replies import entry, envelope, reply, sample

ASKED = "07241735-1535-0613-0000-0722e701b5ff"


def fetched(
    body: bytes, http_status: int = 200, *, asked: str = ASKED, tag: str | None = None
) -> Fetched:
    return read_fetched(reply(body, http_status, mend=True), asked, tag=tag, bare_url=True)


def test_a_finished_task_comes_with_answer_cost_and_the_untouched_reply() -> None:
    """The raw reply is what a later version can read more out of, free of charge."""
    body = sample("task_get.response.claude.done")
    got = fetched(body)
    assert isinstance(got, Finished)
    assert got.answer is not None
    assert (got.remote_id, got.tag, got.parse_error) == (ASKED, None, None)
    assert (got.cost_nanousd, got.answer.money_spent_nanousd) == (0, 40_322_500)
    assert got.price_stated
    assert got.raw == body


def test_the_vendor_s_gemini_example_is_about_the_id_in_its_path() -> None:
    """Its own id differs from the one that was asked for (API.md §4), yet it is the answer."""
    body = sample("task_get.response.gemini.done")
    for asked in (ASKED, "02249714-1807-0791-0000-0423e705a8rr"):
        assert isinstance(fetched(body, asked=asked), Finished)


def test_a_reply_about_another_task_is_attached_to_nobody() -> None:
    """A proxy's cache or a mix-up at the API must not put one answer under another question."""
    with pytest.raises(ProtocolFault, match="another task"):
        fetched(sample("task_get.response.claude.done"), asked="another-id")


def test_the_tag_that_was_posted_names_the_task_as_well() -> None:
    """The tag is ours; an answer that bears it is the answer to our question."""
    body = envelope(entry("ours", 20000, id="x", result=[{"items": []}]))
    got = fetched(body, asked="y", tag="ours")
    assert isinstance(got, Finished)
    assert got.tag == "ours"
    with pytest.raises(ProtocolFault):
        fetched(body, asked="y", tag="other")


def test_an_answer_under_another_attempts_tag_is_not_attached_whatever_its_id() -> None:
    """A person may have given the id (`resolve --adopt`); an odd tag costs no answer."""
    ours, other = (Tag("a" * 8, "b" * 8, TaskId(n), "c" * 26, 1) for n in (1, 2))
    body = envelope(entry(str(other), 20000, id="x", result=[{"items": []}]))
    with pytest.raises(ProtocolFault, match="another task"):
        fetched(body, asked="x", tag=str(ours))
    assert isinstance(fetched(body, asked="x", tag=str(other)), Finished)
    odd = envelope(entry("odd", 20000, id="x", result=[{"items": []}]))
    assert isinstance(fetched(odd, asked="x", tag=str(ours)), Finished)


@pytest.mark.parametrize("code", [20000, 40103, 40403, 40501, 59999])
def test_without_any_name_nothing_is_stored_or_ended(code: int) -> None:
    """An answer, a failure or an expiry of nobody knows whom is not to be acted on."""
    with pytest.raises(ProtocolFault):
        fetched(envelope(entry(None, code, id=None, result=[{"items": []}])))


@pytest.mark.parametrize(("code", "kind"), [(40602, Running), (40401, Gone)])
def test_codes_that_end_nothing_need_no_name(code: int, kind: type[Fetched]) -> None:
    """Whether such a reply repeats the id is not documented."""
    assert type(fetched(envelope(entry(None, code, id=None)))) is kind


@pytest.mark.parametrize(
    "body",
    [
        sample("task_get.response.in_queue"),
        sample("task_get.response.handed"),
        envelope(entry(None, 20100, id=ASKED)),
        envelope(entry(None, 20000, id=ASKED)),
        envelope(entry(None, 20000, id=ASKED, result=[])),
        envelope(code=40602),
    ],
)
def test_all_ways_to_say_not_yet_are_understood(body: bytes) -> None:
    """Taken for a failure, any of them would lead to a second payment (F59)."""
    assert isinstance(fetched(body), Running)


def test_gone_and_expired_are_two_different_things() -> None:
    """Only an expiry ends a task; an id that is not known may be known again (F60)."""
    missing = sample("task_get.response.not_found")
    assert isinstance(fetched(missing, asked="07241735-1535-0613-0000-ffffffffffff"), Gone)
    assert isinstance(fetched(sample("task_get.response.expired")), Expired)
    assert isinstance(fetched(envelope(code=40401), 404), Gone)
    assert isinstance(fetched(envelope(code=40403)), Expired)
    assert isinstance(fetched(envelope(entry(None, 40002, id=ASKED))), Gone)


@pytest.mark.parametrize(
    ("code", "retryable", "may_pass"),
    [
        (40103, True, False),
        (50000, True, True),
        (50301, True, True),
        (40101, False, False),
        (40501, False, False),
    ],
)
def test_a_failed_task_tells_whether_it_may_be_asked_again(
    code: int, retryable: bool, may_pass: bool
) -> None:
    """Automatic retries pay again, so only the documented failures allow them, and none that may
    be about the moment of asking."""
    got = fetched(envelope(entry(None, code, id=ASKED, cost=0.002)))
    assert isinstance(got, TaskFailed)
    assert (got.code, got.retryable, got.cost_nanousd) == (code, retryable, 2_000_000)
    assert got.may_pass is may_pass


def test_an_unheard_of_code_is_neither_an_answer_nor_a_failure() -> None:
    """The task is paid; a word we do not know must not end it (F61)."""
    got = fetched(envelope(entry(None, 45678, id=ASKED)))
    assert isinstance(got, Unclear)
    assert got.code == 45678


@pytest.mark.parametrize(
    ("body", "http_status", "block"),
    [
        (sample("error.top_level.40200.http402"), 402, Block.BALANCE),
        (b"<html>pay</html>", 402, Block.BALANCE),
        (envelope(code=40210), 200, Block.BALANCE),
        (envelope(code=40203), 402, Block.DAILY_CAP),
        (envelope(entry(None, 40200, id=None)), 200, Block.BALANCE),
    ],
)
def test_an_unpaid_account_withholds_answers_and_fails_no_task(
    body: bytes, http_status: int, block: Block
) -> None:
    """After a top-up the same call brings the answer (API.md §5, F55)."""
    got = fetched(body, http_status)
    assert isinstance(got, Withheld)
    assert got.block is block


@pytest.mark.parametrize(
    ("body", "http_status", "error"),
    [
        (sample("error.top_level.40100.http401"), 401, CredentialsBlocked),
        (b"<html>", 401, CredentialsBlocked),
        (sample("error.top_level.40202.http200"), 200, RateLimited),
        (envelope(entry(None, 40202, id=None)), 200, RateLimited),
        (b"", 429, RateLimited),
        (b"<html>", 200, ProtocolFault),
        (envelope(), 200, ProtocolFault),
        (envelope(code=59999), 200, ProtocolFault),
        (envelope(entry(None, 20000, id=ASKED)), 500, Unreachable),
        (envelope(code=50000), 200, Unreachable),
        (b"", 302, Unreachable),
        (b"", 404, WrongAddress),
        (envelope(code=40400), 404, CallRejected),
        (envelope({"id": ASKED}), 200, ProtocolFault),
    ],
)
def test_replies_about_the_call_say_what_to_do_next(
    body: bytes, http_status: int, error: type[ApiError]
) -> None:
    """None of them says anything about the task, so none of them may move it."""
    with pytest.raises(ApiError) as caught:
        fetched(body, http_status)
    assert type(caught.value) is error


def test_a_result_that_cannot_be_read_is_kept_raw() -> None:
    """It is paid for and will be gone at the API; a later version may read it (F61)."""
    body = envelope(entry(None, 20000, id=ASKED, result=[{"answer": "in a new form"}]))
    got = fetched(body)
    assert isinstance(got, Finished)
    assert got.answer is None
    assert got.parse_error == "the result has no list of items"
    assert not got.price_stated
    assert got.raw == body


def test_an_answer_cut_inside_an_emoji_is_still_an_answer() -> None:
    """Sections are cut at citations, perhaps between the halves of a character."""
    items = [{"type": "message", "sections": [{"text": "fine \ud83d"}, {"text": "\ude00"}]}]
    got = fetched(json.dumps({"status_code": 20000, "tasks": [{
        "id": ASKED, "status_code": 20000, "result": [{"items": items}]}]}).encode())  # fmt: skip
    assert isinstance(got, Finished)
    assert got.answer is not None
    assert got.answer.text == "fine \ufffd\ufffd"


NAMES = [ASKED, "another-id", "message", "reasoning"]


@given(
    mutated(sample("task_get.response.gemini.done"), NAMES), st.sampled_from([200, 404, 402, 503])
)
def test_no_altered_reply_crashes_or_is_attached_without_a_name(
    body: bytes, http_status: int
) -> None:
    """Whatever comes: a documented fault, or a word about the task that was asked for."""
    with suppress(ApiError):
        got = fetched(body, http_status)
        if isinstance(got, Finished | TaskFailed):
            names = [
                name
                for task in json.loads(body)["tasks"]
                if isinstance(task, dict)
                for name in (task.get("id"), *(task.get("path") or [])[-1:])
            ]
            assert ASKED in names
        if isinstance(got, Finished) and got.answer is not None:
            assert got.answer.text.encode().decode() == got.answer.text
            assert got.answer.money_spent_nanousd >= 0
